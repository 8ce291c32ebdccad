// The files of a checkpoint folder that are neither configuration nor weights.
#pragma once

#include <array>

namespace duan::checkpoint {

// What a loader of a folder may look for, and what a copy of the model has to come with. Those that are there are
// copied as they are.
inline constexpr std::array kCompanionFiles = {"generation_config.json",
                                               "tokenizer.json",
                                               "tokenizer_config.json",
                                               "special_tokens_map.json",
                                               "added_tokens.json",
                                               "vocab.json",
                                               "merges.txt",
                                               "chat_template.jinja",
                                               "chat_template.json",
                                               "preprocessor_config.json",
                                               "video_preprocessor_config.json",
                                               "LICENSE"};

}  // namespace duan::checkpoint
