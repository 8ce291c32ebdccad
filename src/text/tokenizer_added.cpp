#include "text/tokenizer_added.h"

namespace duan::text {
namespace {

uint64_t edge(uint32_t node, char byte) { return uint64_t{node} << 8 | static_cast<uint8_t>(byte); }

}  // namespace

void AddedTokenMatcher::add(std::string_view content, int64_t id) {
  first_[static_cast<uint8_t>(content[0])] = true;
  uint32_t node = 0;
  for (const char byte : content) {
    const auto [it, fresh] = children_.try_emplace(edge(node, byte), static_cast<uint32_t>(ids_.size()));
    if (fresh) ids_.push_back(-1);
    node = it->second;
  }
  if (ids_[node] < 0) ids_[node] = id;
}

std::optional<AddedTokenMatcher::Match> AddedTokenMatcher::find(std::string_view text, size_t from) const {
  if (children_.empty()) return std::nullopt;
  for (size_t begin = from; begin < text.size(); ++begin) {
    if (!first_[static_cast<uint8_t>(text[begin])]) continue;
    std::optional<Match> longest;
    uint32_t node = 0;
    for (size_t at = begin; at < text.size(); ++at) {
      const auto it = children_.find(edge(node, text[at]));
      if (it == children_.end()) break;
      node = it->second;
      if (ids_[node] >= 0) longest = Match{begin, at + 1, ids_[node]};
    }
    if (longest) return longest;
  }
  return std::nullopt;
}

}  // namespace duan::text
