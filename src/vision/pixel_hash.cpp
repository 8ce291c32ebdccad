#include "vision/pixel_hash.h"

#include <array>
#include <bit>
#include <cstring>
#include <random>

namespace duan::vision {
namespace {

struct SipState {
  uint64_t v0, v1, v2, v3;

  SipState(uint64_t key0, uint64_t key1)
      : v0(key0 ^ 0x736f6d6570736575),
        v1(key1 ^ 0x646f72616e646f6d),
        v2(key0 ^ 0x6c7967656e657261),
        v3(key1 ^ 0x7465646279746573) {}

  void round() {
    v0 += v1, v1 = std::rotl(v1, 13) ^ v0, v0 = std::rotl(v0, 32);
    v2 += v3, v3 = std::rotl(v3, 16) ^ v2;
    v0 += v3, v3 = std::rotl(v3, 21) ^ v0;
    v2 += v1, v1 = std::rotl(v1, 17) ^ v2, v2 = std::rotl(v2, 32);
  }
  void add(uint64_t word) {
    v3 ^= word;
    round();
    v0 ^= word;
  }
  uint64_t finish() {
    v2 ^= 0xFF;
    for (int i = 0; i < 3; ++i) round();
    return v0 ^ v1 ^ v2 ^ v3;
  }
};

uint64_t random_word() {
  std::random_device random;
  return static_cast<uint64_t>(random()) << 32 | random();
}

}  // namespace

uint64_t siphash13(uint64_t key0, uint64_t key1, std::span<const uint8_t> bytes) {
  SipState state(key0, key1);
  const size_t whole = bytes.size() / 8 * 8;
  for (size_t at = 0; at < whole; at += 8) {
    uint64_t word;  // in this machine's order, which is little-endian
    std::memcpy(&word, bytes.data() + at, 8);
    state.add(word);
  }
  uint64_t last = static_cast<uint64_t>(bytes.size()) << 56;
  for (size_t i = whole; i < bytes.size(); ++i) last |= static_cast<uint64_t>(bytes[i]) << (8 * (i - whole));
  state.add(last);
  return state.finish();
}

uint64_t pixel_hash(const Image& image, uint64_t mode) {
  static const std::array<uint64_t, 2> key = {random_word(), random_word()};
  const std::array<uint64_t, 4> parts = {static_cast<uint64_t>(image.height), static_cast<uint64_t>(image.width), mode,
                                         siphash13(key[0], key[1], image.rgb)};
  std::array<uint8_t, sizeof parts> bytes;
  std::memcpy(bytes.data(), parts.data(), sizeof parts);
  return siphash13(key[0], key[1], bytes);
}

}  // namespace duan::vision
