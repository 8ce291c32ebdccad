// A model folder whose answers are known: each token decides the next one.
#pragma once

#include <filesystem>
#include <string>

namespace duan::test {

// Writes config.json, model.safetensors and the tokenizer and chat template of the tests to `folder`. After the
// template's last newline the model says `answer`, piece by piece of the tokenizer (<think> and </think> may be in it),
// and ends. No token may be in it twice. With `endless` it repeats the answer from its second token instead.
// Any other token is followed by itself.
void write_chain_model(const std::filesystem::path& folder, const std::string& answer, bool endless = false,
                       int64_t positions = 1024);

}  // namespace duan::test
