// Weights rounded in groups, and the tensors that AutoAWQ, GPTQ and compressed-tensors make of them: packed here, field
// by field, from what those formats say.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <functional>
#include <numeric>
#include <string>
#include <vector>

#include "base/atomic_file.h"
#include "base/json.h"
#include "checkpoint/safetensors.h"
#include "checkpoint/writer.h"
#include "tensor/weight.h"

namespace duan::test {

struct StoredTensor {
  checkpoint::TensorSpec spec;
  std::vector<std::byte> bytes;
};

template <class T>
StoredTensor stored(const std::string& name, DType dtype, const Shape& shape, const std::vector<T>& values) {
  const auto bytes = std::as_bytes(std::span(values));
  return {{name, dtype, shape}, {bytes.begin(), bytes.end()}};
}

inline void write_tensors(const std::filesystem::path& file, const std::vector<StoredTensor>& tensors) {
  std::vector<checkpoint::TensorSpec> specs;
  for (const StoredTensor& tensor : tensors) specs.push_back(tensor.spec);
  checkpoint::write_safetensors(file, specs,
                                [&](size_t i, const checkpoint::ByteSink& sink) { sink(tensors[i].bytes); });
}

struct RoundingForm {
  std::string storage;  // "awq" | "gptq" | "gptq_v2" | "compressed-tensors" | "plain": the rounded numbers in f16
  int bits = 4;
  int64_t group = 16;  // -1: a whole row
  bool symmetric = false;
  bool scattered = false;  // column c is of group c % groups
  bool zero_biases = false;
};

struct RoundedWeight {
  int bits;
  int64_t rows, columns, groups;
  std::vector<uint32_t> codes;    // [rows, columns], unsigned
  std::vector<uint32_t> zeros;    // [rows, groups], unsigned
  std::vector<uint16_t> scales;   // [rows, groups], f16
  std::vector<int32_t> group_of;  // [columns]

  uint32_t code(int64_t n, int64_t c) const { return codes[static_cast<size_t>(n * columns + c)]; }
  uint32_t zero(int64_t n, int64_t g) const { return zeros[static_cast<size_t>(n * groups + g)]; }
  uint16_t scale(int64_t n, int64_t g) const { return scales[static_cast<size_t>(n * groups + g)]; }
  float value(int64_t n, int64_t c) const {
    const int64_t g = group_of[static_cast<size_t>(c)];
    return static_cast<float>(static_cast<int>(code(n, c)) - static_cast<int>(zero(n, g))) * f16_to_float(scale(n, g));
  }
};

// Zero points are at least 1, which version 1 of GPTQ can store.
inline RoundedWeight rounded(const std::vector<float>& weights, int64_t rows, int64_t columns,
                             const RoundingForm& form) {
  const int64_t group = form.group == -1 ? columns : form.group, groups = columns / group;
  RoundedWeight r{form.bits, rows, columns, groups, {}, {}, {}, {}};
  for (int64_t c = 0; c < columns; ++c) {
    r.group_of.push_back(static_cast<int32_t>(form.scattered ? c % groups : c / group));
  }
  const float top = static_cast<float>((1 << form.bits) - 1), middle = static_cast<float>(1 << (form.bits - 1));
  for (int64_t n = 0; n < rows; ++n) {
    std::vector<float> low(static_cast<size_t>(groups), 0), high = low;
    const float* row = weights.data() + n * columns;
    for (int64_t c = 0; c < columns; ++c) {
      const auto g = static_cast<size_t>(r.group_of[static_cast<size_t>(c)]);
      low[g] = std::min(low[g], row[c]), high[g] = std::max(high[g], row[c]);
    }
    for (size_t g = 0; g < low.size(); ++g) {
      const float range = form.symmetric ? 2 * std::max(-low[g], high[g]) : high[g] - low[g];
      r.scales.push_back(float_to_f16(std::max(range / top, 1e-4f)));
      const float zero = form.symmetric ? middle : std::round(-low[g] / f16_to_float(r.scales.back()));
      r.zeros.push_back(static_cast<uint32_t>(std::clamp(zero, 1.0f, top)));
    }
    for (int64_t c = 0; c < columns; ++c) {
      const int64_t g = r.group_of[static_cast<size_t>(c)];
      const float code = std::round(row[c] / f16_to_float(r.scale(n, g))) + static_cast<float>(r.zero(n, g));
      r.codes.push_back(static_cast<uint32_t>(std::clamp(code, 0.0f, top)));
    }
  }
  return r;
}

// Words of fields, low end first; field i of word (row, word).
inline std::vector<uint32_t> words(int64_t rows, int64_t row_words, int bits,
                                   const std::function<uint32_t(int64_t row, int64_t word, int field)>& value) {
  std::vector<uint32_t> out;
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t word = 0; word < row_words; ++word) {
      uint32_t packed = 0;
      for (int field = 0; field < 32 / bits; ++field) packed |= value(row, word, field) << (field * bits);
      out.push_back(packed);
    }
  }
  return out;
}

inline StoredTensor transposed_scales(const std::string& name, const RoundedWeight& r) {
  std::vector<uint16_t> scales;
  for (int64_t g = 0; g < r.groups; ++g) {
    for (int64_t n = 0; n < r.rows; ++n) scales.push_back(r.scale(n, g));
  }
  return stored(name, DType::f16, {r.groups, r.rows}, scales);
}

inline std::vector<StoredTensor> awq_tensors(const std::string& module, const RoundedWeight& r) {
  constexpr int kOrder[] = {0, 2, 4, 6, 1, 3, 5, 7};
  const auto codes =
      words(r.columns, r.rows / 8, 4, [&](int64_t c, int64_t j, int k) { return r.code(8 * j + kOrder[k], c); });
  const auto zeros =
      words(r.groups, r.rows / 8, 4, [&](int64_t g, int64_t j, int k) { return r.zero(8 * j + kOrder[k], g); });
  return {stored(module + ".qweight", DType::i32, {r.columns, r.rows / 8}, codes),
          stored(module + ".qzeros", DType::i32, {r.groups, r.rows / 8}, zeros),
          transposed_scales(module + ".scales", r)};
}

inline std::vector<StoredTensor> gptq_tensors(const std::string& module, const RoundedWeight& r, bool v2) {
  const int64_t fields = 32 / r.bits;
  const auto codes =
      words(r.columns / fields, r.rows, r.bits, [&](int64_t j, int64_t n, int k) { return r.code(n, fields * j + k); });
  const auto zeros = words(r.groups, r.rows / fields, r.bits,
                           [&](int64_t g, int64_t j, int k) { return r.zero(fields * j + k, g) - (v2 ? 0 : 1); });
  return {stored(module + ".qweight", DType::i32, {r.columns / fields, r.rows}, codes),
          stored(module + ".qzeros", DType::i32, {r.groups, r.rows / fields}, zeros),
          transposed_scales(module + ".scales", r), stored(module + ".g_idx", DType::i32, {r.columns}, r.group_of)};
}

inline std::vector<StoredTensor> packed_tensors(const std::string& module, const RoundedWeight& r, bool symmetric) {
  const int64_t fields = 32 / r.bits;
  const auto codes =
      words(r.rows, r.columns / fields, r.bits, [&](int64_t n, int64_t j, int k) { return r.code(n, fields * j + k); });
  const auto zeros =
      words(r.rows / fields, r.groups, r.bits, [&](int64_t m, int64_t g, int k) { return r.zero(fields * m + k, g); });
  std::vector<StoredTensor> tensors{stored(module + ".weight_packed", DType::i32, {r.rows, r.columns / fields}, codes),
                                    stored(module + ".weight_scale", DType::f16, {r.rows, r.groups}, r.scales)};
  if (!symmetric) {
    tensors.push_back(stored(module + ".weight_zero_point", DType::i32, {r.rows / fields, r.groups}, zeros));
  }
  tensors.push_back(stored(module + ".weight_shape", DType::i64, {2}, std::vector<int64_t>{r.rows, r.columns}));
  return tensors;
}

inline std::vector<StoredTensor> tensors_of(const std::string& module, const RoundedWeight& r,
                                            const RoundingForm& form) {
  if (form.storage == "plain") {
    std::vector<uint16_t> values;
    for (int64_t n = 0; n < r.rows; ++n) {
      for (int64_t c = 0; c < r.columns; ++c) values.push_back(float_to_f16(r.value(n, c)));
    }
    return {stored(module + ".weight", DType::f16, {r.rows, r.columns}, values)};
  }
  if (form.storage == "awq") return awq_tensors(module, r);
  if (form.storage == "compressed-tensors") return packed_tensors(module, r, form.symmetric);
  return gptq_tensors(module, r, form.storage == "gptq_v2");
}

inline Json quantization_config_of(const RoundingForm& form) {
  if (form.storage == "awq") {
    return {{"quant_method", "awq"},         {"bits", 4},         {"group_size", form.group},
            {"zero_point", !form.symmetric}, {"version", "gemm"}, {"modules_to_not_convert", nullptr}};
  }
  if (form.storage == "compressed-tensors") {
    return {{"quant_method", "compressed-tensors"},
            {"format", "pack-quantized"},
            {"quantization_status", "compressed"},
            {"config_groups",
             {{"group_0",
               {{"targets", {"Linear"}},
                {"weights",
                 {{"num_bits", form.bits},
                  {"type", "int"},
                  {"symmetric", form.symmetric},
                  {"strategy", form.group == -1 ? "channel" : "group"},
                  {"group_size", form.group == -1 ? Json() : Json(form.group)}}}}}}},
            {"ignore", {"lm_head", "re:.*visual.*"}}};
  }
  return {{"quant_method", "gptq"}, {"bits", form.bits},          {"group_size", form.group},
          {"sym", form.symmetric},  {"desc_act", form.scattered}, {"checkpoint_format", form.storage},
          {"damp_percent", 0.01}};
}

// Copies a plain model with the projections of its layers rounded.
inline void write_rounded_model(const std::filesystem::path& from, const std::filesystem::path& to,
                                const RoundingForm& form) {
  std::filesystem::create_directories(to);
  for (const auto& entry : std::filesystem::directory_iterator(from)) {
    if (entry.is_regular_file()) std::filesystem::copy_file(entry.path(), to / entry.path().filename());
  }
  Json config = read_json(from / "config.json");
  if (form.storage != "plain") config["quantization_config"] = quantization_config_of(form);
  std::filesystem::remove(to / "config.json");
  write_file_atomically(to / "config.json", to_text(config, 2));
  std::filesystem::remove(to / "model.safetensors");
  const checkpoint::SafetensorsFile source(from / "model.safetensors");
  std::vector<StoredTensor> tensors;
  for (const auto& entry : source.entries()) {
    const checkpoint::TensorView view = source.view(entry);
    if (!entry.name.ends_with("_proj.weight")) {
      tensors.push_back({{entry.name, entry.dtype, entry.shape}, {view.data, view.data + view.bytes}});
      continue;
    }
    std::vector<float> values(static_cast<size_t>(*element_count(view.shape)));
    to_float(view.dtype, view.data, static_cast<int64_t>(values.size()), values.data());
    const std::string module = entry.name.substr(0, entry.name.size() - std::string_view(".weight").size());
    for (StoredTensor& tensor : tensors_of(module, rounded(values, view.shape[0], view.shape[1], form), form)) {
      tensors.push_back(std::move(tensor));
    }
    if (form.zero_biases && entry.name.ends_with("down_proj.weight")) {
      tensors.push_back(stored(module + ".bias", DType::f16, {view.shape[0]},
                               std::vector<uint16_t>(static_cast<size_t>(view.shape[0]), 0)));
    }
  }
  write_tensors(to / "model.safetensors", tensors);
}

}  // namespace duan::test
