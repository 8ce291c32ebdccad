#include "text/bpe.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/error.h"
#include "base/utf8.h"
#include "text/unicode.h"

namespace duan::text {
namespace {

// Up to here searching all pairs for the lowest rank is cheaper than a heap.
constexpr size_t kShortPiece = 128;
constexpr uint32_t kNone = UINT32_MAX;
constexpr uint64_t kRankBits = 22;
constexpr uint64_t kRankMask = (uint64_t{1} << kRankBits) - 1;

uint64_t mix(uint64_t x) {  // MurmurHash3's finalizer, shortened: callers use the high bits
  x ^= x >> 32;
  x *= 0xD6E8FEB86659FD93u;
  x ^= x >> 32;
  return x * 0xD6E8FEB86659FD93u;
}

size_t slot_of(uint64_t hash, size_t slots) { return hash >> (64 - std::countr_zero(slots)); }

uint64_t hash_bytes(std::string_view bytes) {
  uint64_t hash = bytes.size();
  for (; bytes.size() >= 8; bytes.remove_prefix(8)) {
    uint64_t word;
    std::memcpy(&word, bytes.data(), 8);
    hash = mix(hash ^ word) + word;
  }
  uint64_t word = 0;
  std::memcpy(&word, bytes.data(), bytes.size());
  return mix(hash ^ word);
}

// GPT-2's alphabet: the printable bytes of Latin-1 stand for themselves, the others, in order, for U+0100 onwards.
constexpr bool is_printable(int byte) {
  return (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte <= 0xAC) || (byte >= 0xAE && byte <= 0xFF);
}
constexpr std::array<int16_t, 0x144> make_alphabet() {
  std::array<int16_t, 0x144> bytes{};
  bytes.fill(-1);
  size_t next = 0x100;
  for (int byte = 0; byte < 256; ++byte) {
    bytes[is_printable(byte) ? static_cast<size_t>(byte) : next++] = static_cast<int16_t>(byte);
  }
  return bytes;
}
constexpr auto kAlphabet = make_alphabet();  // byte by code point, -1 if none

}  // namespace

bool bytes_of_spelling(std::string_view spelling, std::string& bytes) {
  bytes.clear();
  for (size_t at = 0; at < spelling.size();) {
    const CodeAt c = code_at(spelling, at);
    if (c.code >= kAlphabet.size() || kAlphabet[c.code] < 0) return false;
    bytes += static_cast<char>(kAlphabet[c.code]);
    at += c.bytes;
  }
  return true;
}

void TokenTable::reserve(size_t count) { grow(std::bit_ceil(std::max<size_t>(16, count * 2))); }

void TokenTable::grow(size_t slots) {
  slots_.assign(slots, -1);
  found_ = 0;
}

void TokenTable::add(int64_t id, std::string_view bytes, bool findable) {
  DUAN_CHECK(id >= 0 && id <= kMaxTokenId && !bytes.empty() && !has(id), "token {}", id);
  const auto index = static_cast<size_t>(id);
  if (index >= spans_.size()) spans_.resize(index + 1);
  spans_[index] = {static_cast<uint32_t>(arena_.size()), static_cast<uint32_t>(bytes.size())};
  arena_ += bytes;
  if (!findable) return;
  DUAN_CHECK((found_ + 1) * 2 <= slots_.size(), "more tokens than reserved");
  size_t slot = slot_of(hash_bytes(bytes), slots_.size());
  while (slots_[slot] >= 0) slot = (slot + 1) & (slots_.size() - 1);
  slots_[slot] = static_cast<int32_t>(id);
  ++found_;
}

std::string_view TokenTable::bytes(int64_t id) const {
  const Span span = spans_[static_cast<size_t>(id)];
  return std::string_view(arena_).substr(span.begin, span.length);
}

int32_t TokenTable::find(std::string_view wanted) const {
  if (slots_.empty()) return -1;
  for (size_t slot = slot_of(hash_bytes(wanted), slots_.size());; slot = (slot + 1) & (slots_.size() - 1)) {
    if (slots_[slot] < 0 || bytes(slots_[slot]) == wanted) return slots_[slot];
  }
}

Bpe::Scratch::Scratch(size_t text_bytes) {
  // A text of a few lines hardly repeats itself: clearing the cache would cost more than it saves.
  if (text_bytes >= 1024) cache.resize(std::clamp<size_t>(std::bit_ceil(text_bytes / 16), 64, 1 << 14));
}

Bpe::Bpe(const TokenizerFile& file, bool ignore_merges) : ignore_merges_(ignore_merges) {
  add_vocab(file);
  add_merges(file);
}

void Bpe::add_vocab(const TokenizerFile& file) {
  const auto fail = [&](const std::string& what) { throw Error("model.vocab: " + what, file.where); };
  tokens_.reserve(file.vocab.size());
  std::string bytes;
  for (size_t i = 0; i < file.vocab.size(); ++i) {
    const std::string_view spelling = file.vocab[i];
    const int64_t id = file.vocab_ids[i];
    if (spelling.empty()) fail(fmt::format("token {} is empty", id));
    if (id < 0 || id > kMaxTokenId) {
      fail(fmt::format("\"{}\" has the id {}, expected 0 to {}", printable(spelling, 60), id, kMaxTokenId));
    }
    if (tokens_.has(id)) fail(fmt::format("id {} is used twice, by \"{}\" too", id, printable(spelling, 60)));
    const bool in_alphabet = bytes_of_spelling(spelling, bytes);
    if (in_alphabet && tokens_.find(bytes) >= 0) fail(fmt::format("duplicate token \"{}\"", printable(spelling, 60)));
    tokens_.add(id, in_alphabet ? std::string_view(bytes) : spelling, in_alphabet);
  }
  for (int byte = 0; byte < 256; ++byte) {
    const char one = static_cast<char>(byte);
    const int32_t id = tokens_.find({&one, 1});
    if (id < 0)
      fail(fmt::format("no token for byte 0x{:02X} among {} tokens; all 256 are needed", byte, file.vocab.size()));
    byte_ids_[static_cast<size_t>(byte)] = id;
  }
}

void Bpe::add_merges(const TokenizerFile& file) {
  const size_t count = file.merges.size() / 2;
  if (count > kMaxMerges)
    throw Error(fmt::format("{} merges, at most {} are supported", count, kMaxMerges), file.where);
  pairs_.assign(std::bit_ceil(count * 2 + 2), 0);
  merged_.reserve(count);
  std::string left_bytes, right_bytes;
  for (size_t i = 0; i < count; ++i) {
    const std::string_view left = file.merges[2 * i], right = file.merges[2 * i + 1];
    const auto id_of = [&](std::string_view part, std::string& bytes) {
      const int32_t id = bytes_of_spelling(part, bytes) ? tokens_.find(bytes) : -1;
      if (id < 0)
        throw Error(fmt::format("merge {} names \"{}\", which is not in the vocabulary", i, printable(part, 60)),
                    file.where);
      return id;
    };
    const int32_t left_id = id_of(left, left_bytes), right_id = id_of(right, right_bytes);
    const int32_t merged = tokens_.find(left_bytes += right_bytes);
    if (merged < 0) {
      throw Error(fmt::format("merge {} makes \"{}{}\", which is not in the vocabulary", i, printable(left, 60),
                              printable(right, 60)),
                  file.where);
    }
    if (rank(left_id, right_id) != kNoMerge) {
      throw Error(fmt::format("duplicate merge {}: \"{} {}\"", i, printable(left, 60), printable(right, 60)),
                  file.where);
    }
    const uint64_t pair = static_cast<uint64_t>(left_id) << 21 | static_cast<uint64_t>(right_id);
    size_t slot = slot_of(mix(pair), pairs_.size());
    while (pairs_[slot] != 0) slot = (slot + 1) & (pairs_.size() - 1);
    pairs_[slot] = pair << kRankBits | (i + 1);
    merged_.push_back(merged);
  }
}

inline int32_t Bpe::rank(int32_t left, int32_t right) const {
  const uint64_t pair = static_cast<uint64_t>(left) << 21 | static_cast<uint64_t>(right);
  for (size_t slot = slot_of(mix(pair), pairs_.size());; slot = (slot + 1) & (pairs_.size() - 1)) {
    const uint64_t entry = pairs_[slot];
    if (entry == 0) return kNoMerge;
    if (entry >> kRankBits == pair) return static_cast<int32_t>(entry & kRankMask) - 1;
  }
}

void Bpe::encode(std::string_view piece, std::vector<int64_t>& out, Scratch& scratch) const {
  if (piece.size() == 1) {
    out.push_back(byte_ids_[static_cast<uint8_t>(piece[0])]);
    return;
  }
  if (ignore_merges_) {
    if (const int32_t id = tokens_.find(piece); id >= 0) {
      out.push_back(id);
      return;
    }
  }
  if (piece.size() > kShortPiece) return encode_long(piece, out, scratch);
  if (piece.size() > 15 || scratch.cache.empty()) return encode_short(piece, out, scratch);

  std::array<uint64_t, 2> key{};
  std::memcpy(key.data(), piece.data(), piece.size());
  key[1] |= static_cast<uint64_t>(piece.size()) << 56;
  Scratch::CachedWord& word = scratch.cache[slot_of(mix(key[0] ^ mix(key[1])), scratch.cache.size())];
  if (word.key == key) {
    for (const int32_t id : word.ids) {
      if (id < 0) break;
      out.push_back(id);
    }
    return;
  }
  const size_t before = out.size();
  encode_short(piece, out, scratch);
  const size_t count = out.size() - before;
  if (count > word.ids.size()) return;
  word.key = key;
  word.ids.fill(-1);
  for (size_t i = 0; i < count; ++i) word.ids[i] = static_cast<int32_t>(out[before + i]);
}

void Bpe::encode_short(std::string_view piece, std::vector<int64_t>& out, Scratch& scratch) const {
  size_t count = piece.size();
  scratch.ids.resize(kShortPiece);
  scratch.ranks.resize(kShortPiece);
  int32_t* ids = scratch.ids.data();
  int32_t* ranks = scratch.ranks.data();  // ranks[i] of the pair i, i + 1
  for (size_t i = 0; i < count; ++i) ids[i] = byte_ids_[static_cast<uint8_t>(piece[i])];
  for (size_t i = 0; i + 1 < count; ++i) ranks[i] = rank(ids[i], ids[i + 1]);

  while (count > 1) {
    int32_t lowest = kNoMerge;
    for (size_t i = 0; i + 1 < count; ++i) lowest = std::min(lowest, ranks[i]);
    if (lowest == kNoMerge) break;
    const size_t at = static_cast<size_t>(std::find(ranks, ranks + count - 1, lowest) - ranks);
    ids[at] = merged_[static_cast<size_t>(lowest)];
    --count;
    std::copy(ids + at + 2, ids + count + 1, ids + at + 1);
    if (at + 1 < count) {
      std::copy(ranks + at + 2, ranks + count, ranks + at + 1);
      ranks[at] = rank(ids[at], ids[at + 1]);
    }
    if (at > 0) ranks[at - 1] = rank(ids[at - 1], ids[at]);
  }
  out.insert(out.end(), ids, ids + count);
}

void Bpe::encode_long(std::string_view piece, std::vector<int64_t>& out, Scratch& scratch) const {
  if (piece.size() >= kNone)
    throw Error(fmt::format("a single word of {} bytes, at most {} are supported", piece.size(), kNone - 1), "text");
  auto& symbols = scratch.symbols;
  auto& heap = scratch.heap;  // rank << 32 | index of the left symbol; the lowest on top
  symbols.clear();
  symbols.reserve(piece.size());
  heap.clear();
  for (size_t i = 0; i < piece.size(); ++i) {
    const auto index = static_cast<uint32_t>(i);
    symbols.push_back({byte_ids_[static_cast<uint8_t>(piece[i])], index == 0 ? kNone : index - 1,
                       i + 1 == piece.size() ? kNone : index + 1});
  }
  const auto entry_of = [&](uint32_t left, uint64_t& entry) {
    const int32_t r = rank(symbols[left].id, symbols[symbols[left].next].id);
    entry = static_cast<uint64_t>(r) << 32 | left;
    return r != kNoMerge;
  };
  uint64_t entry = 0;
  for (uint32_t i = 0; i + 1 < symbols.size(); ++i) {
    if (entry_of(i, entry)) heap.push_back(entry);
  }
  std::make_heap(heap.begin(), heap.end(), std::greater<>());
  const auto push = [&](uint32_t left) {
    if (!entry_of(left, entry)) return;
    heap.push_back(entry);
    std::push_heap(heap.begin(), heap.end(), std::greater<>());
  };
  while (!heap.empty()) {
    std::pop_heap(heap.begin(), heap.end(), std::greater<>());
    const uint64_t top = heap.back();
    heap.pop_back();
    const auto left = static_cast<uint32_t>(top);
    // Stale entries: the left symbol is gone (id -1), or the pair is another one by now.
    if (symbols[left].id < 0 || symbols[left].next == kNone || !entry_of(left, entry) || entry != top) continue;
    Scratch::Symbol& a = symbols[left];
    Scratch::Symbol& b = symbols[a.next];
    a.id = merged_[static_cast<size_t>(top >> 32)];
    b.id = -1;
    a.next = b.next;
    if (a.next != kNone) symbols[a.next].previous = left;
    if (a.previous != kNone) push(a.previous);
    if (a.next != kNone) push(left);
  }
  for (uint32_t i = 0; i != kNone; i = symbols[i].next) out.push_back(symbols[i].id);
}

}  // namespace duan::text
