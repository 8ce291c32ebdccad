// The instructions that the kernels linear_int8:avx512_vnni and avx_vnni are written in, after Intel's description of
// each, in plain C++: so that what these kernels do with them is tested on every processor. Include in a namespace of
// duan's own; the names are those of <immintrin.h>.

struct __m512i {
  int8_t bytes[64];
};
struct __m256i {
  int8_t bytes[32];
};
struct __m128i {
  int32_t lanes[4];
};

template <class Register>
Register emulated_load(const void* p, uint64_t mask) {
  Register r = {};
  for (size_t i = 0; i < sizeof r.bytes; ++i) {
    if ((mask >> i & 1) != 0) r.bytes[i] = static_cast<const int8_t*>(p)[i];
  }
  return r;
}

template <class Register>
Register emulated_xor(Register a, Register b) {
  for (size_t i = 0; i < sizeof a.bytes; ++i) a.bytes[i] = static_cast<int8_t>(a.bytes[i] ^ b.bytes[i]);
  return a;
}

template <class Register>
Register emulated_set(int8_t value) {
  Register r;
  for (int8_t& byte : r.bytes) byte = value;
  return r;
}

// VPDPBUSD: four products of unsigned bytes of a and signed bytes of b are added to each 32-bit lane of `sum`,
// wrapping.
template <class Register>
Register emulated_dpbusd(Register sum, Register a, Register b) {
  for (size_t lane = 0; lane < sizeof sum.bytes; lane += 4) {
    uint32_t total;
    std::memcpy(&total, sum.bytes + lane, 4);
    for (size_t i = lane; i < lane + 4; ++i) {
      total += static_cast<uint32_t>(static_cast<int32_t>(static_cast<uint8_t>(a.bytes[i])) * b.bytes[i]);
    }
    std::memcpy(sum.bytes + lane, &total, 4);
  }
  return sum;
}

template <class Register>
Register emulated_add(Register a, Register b) {
  for (size_t at = 0; at < sizeof a.bytes; at += 4) {
    uint32_t left, right;
    std::memcpy(&left, a.bytes + at, 4);
    std::memcpy(&right, b.bytes + at, 4);
    left += right;
    std::memcpy(a.bytes + at, &left, 4);
  }
  return a;
}

// Of every 16 bytes, the 8 from `first` on, numbers of kSize bytes in turn from a and b.
template <size_t kSize, class Register>
Register emulated_unpack(Register a, Register b, size_t first) {
  Register r;
  for (size_t quarter = 0; quarter < sizeof r.bytes; quarter += 16) {
    for (size_t i = 0; i < 8; i += kSize) {
      std::memcpy(r.bytes + quarter + 2 * i, a.bytes + quarter + first + i, kSize);
      std::memcpy(r.bytes + quarter + 2 * i + kSize, b.bytes + quarter + first + i, kSize);
    }
  }
  return r;
}

inline __m512i _mm512_setzero_si512() { return {}; }
inline __m512i _mm512_set1_epi8(int8_t value) { return emulated_set<__m512i>(value); }
inline __m512i _mm512_loadu_si512(const void* p) { return emulated_load<__m512i>(p, ~uint64_t{0}); }
inline __m512i _mm512_maskz_loadu_epi8(uint64_t mask, const void* p) { return emulated_load<__m512i>(p, mask); }
inline void _mm512_storeu_si512(void* p, __m512i v) { std::memcpy(p, &v, sizeof v); }
inline __m512i _mm512_xor_si512(__m512i a, __m512i b) { return emulated_xor(a, b); }
inline __m512i dpbusd(__m512i sum, __m512i a, __m512i b) { return emulated_dpbusd(sum, a, b); }
inline __m512i _mm512_add_epi32(__m512i a, __m512i b) { return emulated_add(a, b); }
inline __m512i _mm512_unpacklo_epi32(__m512i a, __m512i b) { return emulated_unpack<4>(a, b, 0); }
inline __m512i _mm512_unpackhi_epi32(__m512i a, __m512i b) { return emulated_unpack<4>(a, b, 8); }
inline __m512i _mm512_unpacklo_epi64(__m512i a, __m512i b) { return emulated_unpack<8>(a, b, 0); }
inline __m512i _mm512_unpackhi_epi64(__m512i a, __m512i b) { return emulated_unpack<8>(a, b, 8); }
inline __m256i _mm512_extracti64x4_epi64(__m512i v, int half) {
  __m256i r;
  std::memcpy(&r, v.bytes + 32 * half, sizeof r);
  return r;
}
inline __m256i _mm512_castsi512_si256(__m512i v) { return _mm512_extracti64x4_epi64(v, 0); }
inline int32_t _mm512_reduce_add_epi32(__m512i v) {
  int32_t lanes[16];
  std::memcpy(lanes, &v, sizeof v);
  return std::accumulate(lanes, lanes + 16, int32_t{0});
}

inline __m256i _mm256_setzero_si256() { return {}; }
inline __m256i _mm256_set1_epi8(int8_t value) { return emulated_set<__m256i>(value); }
inline __m256i _mm256_loadu_si256(const __m256i* p) { return emulated_load<__m256i>(p, ~uint64_t{0}); }
inline void _mm256_storeu_si256(__m256i* p, __m256i v) { std::memcpy(p, &v, sizeof v); }
inline __m256i _mm256_xor_si256(__m256i a, __m256i b) { return emulated_xor(a, b); }
inline __m256i dpbusd(__m256i sum, __m256i a, __m256i b) { return emulated_dpbusd(sum, a, b); }
// In each half: the sums of neighbours in a, then of those in b.
inline __m256i _mm256_hadd_epi32(__m256i a, __m256i b) {
  __m256i r;
  for (size_t half = 0; half < 32; half += 16) {
    for (size_t i = 0; i < 4; ++i) {
      int32_t pair[2];
      std::memcpy(pair, (i < 2 ? a : b).bytes + half + i % 2 * 8, sizeof pair);
      const int32_t sum = pair[0] + pair[1];
      std::memcpy(r.bytes + half + 4 * i, &sum, 4);
    }
  }
  return r;
}
inline __m256i _mm256_add_epi32(__m256i a, __m256i b) { return emulated_add(a, b); }
inline __m128i _mm256_extracti128_si256(__m256i v, int half) {
  __m128i r;
  std::memcpy(&r, v.bytes + 16 * half, sizeof r);
  return r;
}
inline __m128i _mm256_castsi256_si128(__m256i v) { return _mm256_extracti128_si256(v, 0); }
inline __m128i _mm_add_epi32(__m128i a, __m128i b) {
  for (int i = 0; i < 4; ++i) a.lanes[i] += b.lanes[i];
  return a;
}
inline __m128i _mm_loadu_si128(const __m128i* p) {
  __m128i v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
inline void _mm_storeu_si128(__m128i* p, __m128i v) { std::memcpy(p, &v, sizeof v); }
inline __m128i _mm_unpackhi_epi64(__m128i a, __m128i b) { return {{a.lanes[2], a.lanes[3], b.lanes[2], b.lanes[3]}}; }
inline __m128i _mm_shuffle_epi32(__m128i v, int order) {
  return {{v.lanes[order & 3], v.lanes[order >> 2 & 3], v.lanes[order >> 4 & 3], v.lanes[order >> 6 & 3]}};
}
inline int32_t _mm_cvtsi128_si32(__m128i v) { return v.lanes[0]; }
