#include "checkpoint/awq_gptq_weight.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <span>

#include "base/error.h"

namespace duan::checkpoint {
namespace {

constexpr const char* kHint = "the checkpoint and its quantization_config do not fit together";

// The output, of a word's eight, that AutoAWQ's nibble i belongs to.
constexpr std::array<int, 8> kAwqOrder{0, 2, 4, 6, 1, 3, 5, 7};

[[noreturn]] void fail(const std::string& module, const char* part, const std::string& what, const std::string& folder,
                       const std::string& hint = kHint) {
  throw Error(fmt::format("tensor \"{}{}\" {}", printable(module), part, what), folder, hint);
}

TensorView tensor(const Checkpoint& checkpoint, const std::string& module, const char* part, const Shape& expected,
                  std::optional<DType> dtype) {
  const std::string folder = checkpoint.folder().string();
  const std::optional<TensorView> found = checkpoint.find(module + part);
  if (!found) fail(module, part, fmt::format("is missing; expected shape {}", to_string(expected)), folder);
  if (found->shape != expected) {
    fail(module, part, fmt::format("has shape {}, expected {}", to_string(found->shape), to_string(expected)), folder);
  }
  if (dtype ? found->dtype != *dtype : !is_float(found->dtype)) {
    fail(module, part,
         fmt::format("has dtype {}, expected {}", dtype_name(found->dtype), dtype ? dtype_name(*dtype) : "a float"),
         folder);
  }
  return *found;
}

uint32_t word_at(const std::byte* words, int64_t index) {
  uint32_t word;
  std::memcpy(&word, words + index * 4, sizeof word);
  return word;
}

int32_t group_of(const TransposedWeight& w, int64_t column) {
  return static_cast<int32_t>(word_at(w.g_idx->data, column));
}

uint32_t in_plain_order(uint32_t awq) {
  uint32_t plain = 0;
  for (size_t i = 0; i < kAwqOrder.size(); ++i) plain |= (awq >> 4 * i & 15) << 4 * kAwqOrder[i];
  return plain;
}

// Word r of all outputs [first, first + count): the codes of inputs 32 / bits * r and so on.
void read_words(const TransposedWeight& w, int64_t r, int64_t first, int64_t count, uint32_t* out) {
  if (w.storage != WeightStorage::awq) {
    std::memcpy(out, w.qweight.data + (r * w.rows + first) * 4, static_cast<size_t>(count) * 4);
    return;
  }
  std::fill_n(out, count, 0u);
  for (int input = 0; input < 8; ++input) {
    const std::byte* row = w.qweight.data + ((8 * r + input) * w.rows / 8 + first / 8) * 4;
    for (int64_t j = 0; j < count / 8; ++j) {
      const uint32_t word = word_at(row, j);
      for (size_t i = 0; i < 8; ++i) out[8 * j + kAwqOrder[i]] |= (word >> 4 * i & 15) << 4 * input;
    }
  }
}

// Tiles of 128 outputs by 16 words, which lie in the first-level cache whatever the distances of rows.
std::vector<std::byte> repacked_codes(const TransposedWeight& w) {
  constexpr int64_t kOutputs = 128, kWords = 16;
  std::vector<std::byte> codes(static_cast<size_t>(w.rows * w.row_words() * 4));
  std::array<uint32_t, kOutputs> row;
  std::array<uint32_t, kOutputs * kWords> tile;
  for (int64_t n = 0; n < w.rows; n += kOutputs) {
    const int64_t outputs = std::min(kOutputs, w.rows - n);
    for (int64_t r = 0; r < w.row_words(); r += kWords) {
      const int64_t words = std::min(kWords, w.row_words() - r);
      for (int64_t i = 0; i < words; ++i) {
        read_words(w, r + i, n, outputs, row.data());
        for (int64_t o = 0; o < outputs; ++o) tile[static_cast<size_t>(o * kWords + i)] = row[static_cast<size_t>(o)];
      }
      for (int64_t o = 0; o < outputs; ++o) {
        std::memcpy(codes.data() + ((n + o) * w.row_words() + r) * 4, tile.data() + o * kWords,
                    static_cast<size_t>(words) * 4);
      }
    }
  }
  return codes;
}

// [out * bits / 32, groups], each field a zero point as it is used.
std::vector<std::byte> repacked_zero_points(const TransposedWeight& w) {
  const int64_t words = w.rows * w.bits / 32, groups = w.groups();
  const uint32_t top = (1u << w.bits) - 1, middle = 1u << (w.bits - 1);
  std::vector<std::byte> out(static_cast<size_t>(words * groups * 4));
  for (int64_t group = 0; group < groups; ++group) {
    for (int64_t m = 0; m < words; ++m) {
      uint32_t word = word_at(w.qzeros.data, group * words + m), plain = 0;
      if (w.storage == WeightStorage::awq) word = in_plain_order(word);
      for (int bit = 0; bit < 32; bit += w.bits) {
        uint32_t zero = word >> bit & top;
        if (w.storage == WeightStorage::gptq && zero++ == top) {
          // Some loaders go on with the next number, some with 0, some add to the neighbouring output.
          fail(w.module, ".qzeros",
               fmt::format("holds {} at group {}: zero point {} does not fit {} bits", top, group, top + 1, w.bits),
               w.folder, "loaders disagree on it; GPTQ tools write \"gptq_v2\", which has no such case");
        }
        if (w.symmetric && zero != middle) {
          fail(w.module, ".qzeros",
               fmt::format("means zero point {} at group {}, but the configuration says {}", zero, group,
                           w.storage == WeightStorage::awq ? "zero_point false" : "sym"),
               w.folder);
        }
        plain |= zero << bit;
      }
      std::memcpy(out.data() + (m * groups + group) * 4, &plain, sizeof plain);
    }
  }
  return out;
}

// [out, groups].
std::vector<std::byte> repacked_scales(const TransposedWeight& w) {
  const size_t size = dtype_size(w.scales.dtype);
  std::vector<std::byte> out(w.scales.bytes);
  std::vector<float> row(static_cast<size_t>(w.rows));
  for (int64_t group = 0; group < w.groups(); ++group) {
    const std::byte* from = w.scales.data + static_cast<size_t>(group * w.rows) * size;
    to_float(w.scales.dtype, from, w.rows, row.data());
    for (int64_t n = 0; n < w.rows; ++n) {
      if (!std::isfinite(row[static_cast<size_t>(n)])) {
        fail(w.module, ".scales", fmt::format("is {} at group {}, output {}", row[static_cast<size_t>(n)], group, n),
             w.folder, "the file is damaged; fetch it again");
      }
      std::memcpy(out.data() + static_cast<size_t>(n * w.groups() + group) * size, from + static_cast<size_t>(n) * size,
                  size);
    }
  }
  return out;
}

// The weights themselves, of groups whose columns are scattered.
std::vector<std::byte> dense_weights(const TransposedWeight& w, const IntGroup& format) {
  const DType dtype = w.scales.dtype;
  const int64_t columns = w.columns, groups = w.groups();
  std::vector<std::byte> out(static_cast<size_t>(w.rows * columns) * dtype_size(dtype));
  std::vector<float> scales(static_cast<size_t>(groups));
  std::vector<int32_t> zero_points(static_cast<size_t>(groups));
  std::byte* at = out.data();
  for (int64_t n = 0; n < w.rows; ++n) {
    to_float(dtype, format.scales.data + static_cast<size_t>(n * groups) * dtype_size(dtype), groups, scales.data());
    for (int64_t g = 0; g < groups; ++g) zero_points[static_cast<size_t>(g)] = zero_point_at(format, columns, n, g);
    for (int64_t c = 0; c < columns; ++c, at += dtype_size(dtype)) {
      const auto g = static_cast<size_t>(group_of(w, c));
      const float value = static_cast<float>(code_at(format, columns, n, c) - zero_points[g]) * scales[g];
      const uint16_t narrow = dtype == DType::bf16 ? float_to_bf16(value) : float_to_f16(value);
      std::memcpy(at, dtype == DType::f32 ? static_cast<const void*>(&value) : &narrow, dtype_size(dtype));
    }
  }
  return out;
}

bool is_in_order(const TransposedWeight& w) {
  for (int64_t c = 0; w.g_idx && c < w.columns; ++c) {
    if (group_of(w, c) != c / w.group_size) return false;
  }
  return true;
}

void check_group_index(const TransposedWeight& w, bool desc_act) {
  for (int64_t c = 0; c < w.columns; ++c) {
    const int32_t group = group_of(w, c);
    if (group >= 0 && group < w.groups()) continue;
    fail(w.module, ".g_idx", fmt::format("is {} at input {}, but there are {} groups", group, c, w.groups()), w.folder);
  }
  if (!desc_act && !w.in_order) {
    fail(w.module, ".g_idx", "puts inputs into groups out of order, but the configuration says desc_act false",
         w.folder, "loaders disagree on it: some ignore g_idx then");
  }
}

}  // namespace

Weight TransposedWeight::description() const {
  const Shape shape{rows, columns};
  if (!in_order) return {module + ".weight", shape, Dense{scales.dtype, scales.data}};
  return {module + ".weight", shape,
          IntGroup{bits, group_size, qweight.data, {scales.dtype, scales.data}, symmetric ? nullptr : qzeros.data}};
}

bool is_transposed(const Checkpoint& checkpoint, const std::string& module) {
  return checkpoint.contains(module + ".qweight");
}

TransposedWeight transposed_weight(const Checkpoint& checkpoint, const std::string& module, const Shape& expected,
                                   const QuantizationConfig& config) {
  const std::string folder = checkpoint.folder().string();
  if (expected.size() != 2) fail(module, ".qweight", "is quantized, expected plain numbers", folder);
  if (checkpoint.contains(module + ".weight")) {
    fail(module, ".weight", "is there, and \".qweight\" as well", folder, "it is not clear which of the two is meant");
  }
  const QuantizationScheme& scheme = config.schemes.at(0);
  const int64_t rows = expected[0], columns = expected[1], fields = 32 / scheme.bits;
  const int64_t group_size = scheme.group_size == 0 ? columns : scheme.group_size;
  if (columns % group_size != 0 || columns % fields != 0 || rows % fields != 0) {
    fail(module, ".qweight",
         fmt::format("is to hold {}: the inputs are not a multiple of the group size {}, or inputs or outputs not of "
                     "the {} codes of a word",
                     to_string(expected), group_size, fields),
         folder);
  }
  const bool awq = config.storage == WeightStorage::awq;
  const int64_t groups = columns / group_size;
  TransposedWeight w{.module = module,
                     .folder = folder,
                     .storage = config.storage,
                     .bits = scheme.bits,
                     .rows = rows,
                     .columns = columns,
                     .group_size = group_size,
                     .symmetric = scheme.symmetric,
                     .qweight = {},
                     .qzeros = {},
                     .scales = {},
                     .g_idx = {},
                     .in_order = true};
  const Shape codes = awq ? Shape{columns, rows / fields} : Shape{columns / fields, rows};
  w.qweight = tensor(checkpoint, module, ".qweight", codes, DType::i32);
  w.qzeros = tensor(checkpoint, module, ".qzeros", {groups, rows / fields}, DType::i32);
  w.scales = tensor(checkpoint, module, ".scales", {groups, rows}, std::nullopt);
  if (!awq && (config.desc_act || checkpoint.contains(module + ".g_idx"))) {
    w.g_idx = tensor(checkpoint, module, ".g_idx", {columns}, DType::i32);
    w.in_order = is_in_order(w);
    check_group_index(w, config.desc_act);
  }
  return w;
}

RepackedWeight repack(const TransposedWeight& w) {
  RepackedWeight out;
  out.codes = repacked_codes(w);
  out.scales = repacked_scales(w);
  out.zero_points = repacked_zero_points(w);  // checked in any case
  if (w.symmetric) out.zero_points = {};
  const IntGroup format{w.bits,
                        w.group_size,
                        out.codes.data(),
                        {w.scales.dtype, out.scales.data()},
                        w.symmetric ? nullptr : out.zero_points.data()};
  out.weight = {w.module + ".weight", {w.rows, w.columns}, format};
  if (w.in_order) return out;
  out.dense = dense_weights(w, format);
  out.codes = out.scales = out.zero_points = {};
  out.weight.format = Dense{w.scales.dtype, out.dense.data()};
  return out;
}

}  // namespace duan::checkpoint
