// Finds added tokens in a text.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace duan::text {

class AddedTokenMatcher {
 public:
  void add(std::string_view content, int64_t id);  // content not empty; the first of equal contents wins

  struct Match {
    size_t begin, end;
    int64_t id;
  };
  // The leftmost match at or after `from`, the longest of those that begin there.
  std::optional<Match> find(std::string_view text, size_t from) const;

 private:
  // A trie: the node reached from a node by a byte, and the id of the token that ends in a node, or -1.
  std::unordered_map<uint64_t, uint32_t> children_;
  std::vector<int64_t> ids_{-1};
  std::array<bool, 256> first_{};  // bytes some token begins with
};

}  // namespace duan::text
