// Token ids as config.json and generation_config.json state them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"

namespace duan::checkpoint {

inline constexpr int64_t kMaxTokenId = (int64_t{1} << 31) - 1;
inline constexpr size_t kMaxEosTokens = 1024;

// null or absent: none; an integer: one; a list of integers: all of them, each once. Throws Error on anything else.
std::vector<int64_t> token_id_list(const Json& object, const std::string& key, const std::string& where);

// null, absent or -1 (how early Llama files say "no padding"): none.
std::optional<int64_t> token_id(const Json& object, const std::string& key, const std::string& where);

}  // namespace duan::checkpoint
