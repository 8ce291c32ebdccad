#include "checkpoint/token_ids.h"

#include <algorithm>

#include "base/error.h"

namespace duan::checkpoint {
namespace {

int64_t checked_id(const Json& value, const std::string& key, const std::string& where) {
  const bool fits = value.is_number_unsigned() ? value.get<uint64_t>() <= static_cast<uint64_t>(kMaxTokenId)
                                               : value.is_number_integer() && value.get<int64_t>() >= 0;
  if (!fits) {
    throw Error(fmt::format("\"{}\" is {}, expected a token id in [0, 2^31)", key, printable(to_text(value), 60)),
                where);
  }
  return value.get<int64_t>();
}

}  // namespace

std::vector<int64_t> token_id_list(const Json& object, const std::string& key, const std::string& where) {
  const auto found = object.find(key);
  if (found == object.end() || found->is_null()) return {};
  if (!found->is_array()) return {checked_id(*found, key, where)};
  if (found->size() > kMaxEosTokens) {
    throw Error(fmt::format("\"{}\" lists {} tokens, at most {} are allowed", key, found->size(), kMaxEosTokens),
                where);
  }
  std::vector<int64_t> ids;
  for (const Json& value : *found) {
    const int64_t id = checked_id(value, key, where);
    if (std::find(ids.begin(), ids.end(), id) == ids.end()) ids.push_back(id);
  }
  return ids;
}

std::optional<int64_t> token_id(const Json& object, const std::string& key, const std::string& where) {
  const auto found = object.find(key);
  if (found == object.end() || found->is_null()) return std::nullopt;
  if (found->is_number_integer() && *found == -1) return std::nullopt;
  return checked_id(*found, key, where);
}

}  // namespace duan::checkpoint
