// Byte pair encoding: tokens, merges, and the encoding of one piece of text.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "text/tokenizer_file.h"

namespace duan::text {

inline constexpr int64_t kMaxTokenId = (1 << 21) - 1;  // ten times the largest published vocabulary
inline constexpr size_t kMaxMerges = (1 << 22) - 2;

// Bytes of a token spelled in GPT-2's alphabet (one printable character a byte); false if a character is not in it.
bool bytes_of_spelling(std::string_view spelling, std::string& bytes);

// The base tokens: bytes by id and id by bytes.
class TokenTable {
 public:
  // id in [0, kMaxTokenId] and free, bytes not empty. `find` finds those added with `findable`, whose bytes must be
  // new.
  void add(int64_t id, std::string_view bytes, bool findable);
  void reserve(size_t count);

  int64_t size() const { return static_cast<int64_t>(spans_.size()); }  // largest id + 1
  bool has(int64_t id) const { return id >= 0 && id < size() && spans_[static_cast<size_t>(id)].length > 0; }
  std::string_view bytes(int64_t id) const;    // requires has(id)
  int32_t find(std::string_view bytes) const;  // -1 if there is none

 private:
  struct Span {
    uint32_t begin = 0, length = 0;
  };
  void grow(size_t slots);
  std::string arena_;
  std::vector<Span> spans_;
  std::vector<int32_t> slots_;  // open addressing, a power of two, -1 is free
  size_t found_ = 0;            // used slots
};

class Bpe {
 public:
  // Memory one caller needs while it encodes; not to be shared between threads.
  struct Scratch {
    explicit Scratch(size_t text_bytes);  // sized for a text of so many bytes

   private:
    friend class Bpe;
    struct CachedWord {
      std::array<uint64_t, 2> key{};  // up to 15 bytes, then the length; zero for an empty entry
      std::array<int32_t, 4> ids{};   // -1 after the last
    };
    struct Symbol {
      int32_t id;
      uint32_t previous, next;  // indices, kNone at the ends
    };
    std::vector<CachedWord> cache;  // direct mapped, a power of two or empty
    std::vector<int32_t> ids, ranks;
    std::vector<Symbol> symbols;
    std::vector<uint64_t> heap;
  };

  // Throws Error at file.where: what is wrong with the vocabulary or the merges.
  Bpe(const TokenizerFile& file, bool ignore_merges);

  const TokenTable& tokens() const { return tokens_; }

  // Appends the ids of one piece: the pair of lowest rank is merged first, the leftmost of equals.
  // O(n log n) in the length of the piece.
  void encode(std::string_view piece, std::vector<int64_t>& out, Scratch& scratch) const;

 private:
  static constexpr int32_t kNoMerge = INT32_MAX;

  void add_vocab(const TokenizerFile& file);
  void add_merges(const TokenizerFile& file);
  int32_t rank(int32_t left, int32_t right) const;
  void encode_short(std::string_view piece, std::vector<int64_t>& out, Scratch& scratch) const;
  void encode_long(std::string_view piece, std::vector<int64_t>& out, Scratch& scratch) const;

  bool ignore_merges_;
  TokenTable tokens_;
  std::array<int32_t, 256> byte_ids_{};
  std::vector<int32_t> merged_;  // id by rank
  // Open addressing, a power of two: left << 43 | right << 22 | rank + 1, zero is free.
  std::vector<uint64_t> pairs_;
};

}  // namespace duan::text
