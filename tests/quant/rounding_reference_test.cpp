// Rounding against checkpoints that llm-compressor wrote, code by code.
#include <gtest/gtest.h>

#include <cstring>
#include <map>

#include "base/json.h"
#include "checkpoint/safetensors.h"
#include "quant/golden.h"
#include "quant/rounding.h"
#include "support/paths.h"

namespace duan::quant {
namespace {

namespace fs = std::filesystem;
using checkpoint::SafetensorsFile;
using checkpoint::TensorView;

struct Matrix {
  std::vector<float> values;
  size_t rows, columns;
};

Matrix matrix(const SafetensorsFile& file, const std::string& name) {
  const TensorView view = *file.find(name);
  return {test::floats(file, name), static_cast<size_t>(view.shape[0]), static_cast<size_t>(view.shape[1])};
}

struct Difference {
  size_t codes = 0, differing = 0, scales_differing = 0;
  double worst_scale = 0;  // relative
};

// Rounds `w` and counts where it is not what the checkpoint's module holds.
Difference compare(const Matrix& w, const WeightRounding& rounding, const SafetensorsFile& golden,
                   const std::string& module) {
  Difference difference;
  const std::vector<float> scales = test::floats(golden, module + ".weight_scale");
  const bool packed = golden.find(module + ".weight_packed").has_value();
  const TensorView codes = *golden.find(module + (packed ? ".weight_packed" : ".weight"));
  RoundedRow row;
  std::vector<uint32_t> words(w.columns * static_cast<size_t>(rounding.bits) / 32);
  for (size_t n = 0; n < w.rows; ++n) {
    round_row(std::span(w.values).subspan(n * w.columns, w.columns), rounding, row);
    const int8_t* ours = row.codes.data();
    if (packed) {
      pack_codes(row.codes, rounding.bits, words);
      for (size_t i = 0; i < w.columns; ++i) {
        uint32_t word = 0;
        std::memcpy(&word, codes.data + 4 * (n * words.size() + i / 8), 4);
        difference.differing += (word >> (i % 8 * 4) & 15) != (words[i / 8] >> (i % 8 * 4) & 15);
      }
    } else {
      for (size_t i = 0; i < w.columns; ++i) {
        difference.differing += static_cast<int8_t>(codes.data[n * w.columns + i]) != ours[i];
      }
    }
    difference.codes += w.columns;
    for (size_t g = 0; g < row.scales.size(); ++g) {
      const float expected = scales[n * row.scales.size() + g];
      difference.scales_differing += expected != row.scales[g];
      difference.worst_scale = std::max<double>(difference.worst_scale, std::abs(row.scales[g] / expected - 1));
    }
  }
  return difference;
}

std::vector<std::string> modules(const SafetensorsFile& golden) {
  std::vector<std::string> names;
  for (const checkpoint::TensorEntry& entry : golden.entries()) {
    const std::string suffix = ".weight_scale";
    if (entry.name.ends_with(suffix)) names.push_back(entry.name.substr(0, entry.name.size() - suffix.size()));
  }
  return names;
}

TEST(RoundingReference, Int8PerChannelEqualsLlmCompressor) {
  DUAN_NEEDS_REFERENCE();
  const fs::path folder = *test::reference_dir() / "golden/awq/qwen3_untied_mha";
  const SafetensorsFile source(folder / "src/model.safetensors");
  const SafetensorsFile golden(folder / "int8_w8a8_dynamic/model.safetensors");
  const std::vector<std::string> names = modules(golden);
  ASSERT_EQ(names.size(), 7u);
  for (const std::string& name : names) {
    const Matrix w = matrix(source, name + ".weight");
    WeightRounding rounding{.bits = 8, .scale_dtype = DType::bf16, .narrow = true};
    const Difference narrow = compare(w, rounding, golden, name);
    EXPECT_EQ(narrow.differing, 0u) << name;
    EXPECT_EQ(narrow.scales_differing, 0u) << name;
    // In floats the scales are the same, and codes differ where bf16 quotients were too coarse.
    rounding.narrow = false;
    const Difference wide = compare(w, rounding, golden, name);
    EXPECT_EQ(wide.scales_differing, 0u) << name;
    EXPECT_LT(static_cast<double>(wide.differing), 0.2 * static_cast<double>(wide.codes)) << name;
  }
}

// The source's matrices after the smoothing that the run chose.
std::map<std::string, Matrix> smoothed(const fs::path& folder, const fs::path& run) {
  const SafetensorsFile source(folder / "src/model.safetensors");
  const auto doubles = test::read_doubles(run / "awq_trace.safetensors");
  std::map<std::string, Matrix> all;
  const auto get = [&](const std::string& module) -> Matrix& {
    const auto found = all.find(module);
    return found != all.end() ? found->second : all[module] = matrix(source, module + ".weight");
  };
  for (const checkpoint::TensorEntry& entry : source.entries()) {
    if (entry.name.ends_with("_proj.weight")) get(entry.name.substr(0, entry.name.size() - 7));
  }
  const Json trace = read_json(run / "awq_trace.json");
  for (size_t i = 0; i < trace.size(); ++i) {
    const std::vector<double>& scales = doubles.at(std::to_string(i) + ".scales");
    for (const Json& module : trace[i]["balance"]) {
      Matrix& w = get(module.get<std::string>());
      for (size_t at = 0; at < w.values.size(); ++at) w.values[at] *= static_cast<float>(scales[at % w.columns]);
    }
    const auto smooth = trace[i]["smooth"].get<std::string>();
    if (smooth.ends_with("norm")) continue;
    Matrix& w = get(smooth);
    for (size_t at = 0; at < w.values.size(); ++at) {
      const size_t row = at / w.columns, skipped = w.rows - scales.size();
      if (row >= skipped) w.values[at] /= static_cast<float>(scales[row - skipped]);
    }
  }
  return all;
}

TEST(RoundingReference, Int4GroupsWithTheMseObserverEqualLlmCompressor) {
  DUAN_NEEDS_REFERENCE();
  const fs::path awq = *test::reference_dir() / "golden/awq";
  size_t codes = 0, differing = 0;
  for (const auto& [model, run] : {std::pair{"qwen3_tied", "awq_w4a16_sym"},
                                   {"qwen3_tied", "awq_w4a16_asym"},
                                   {"qwen3_untied_mha", "awq_w4a16_sym"}}) {
    const fs::path folder = awq / model;
    const SafetensorsFile golden(folder / run / "model.safetensors");
    const WeightRounding rounding{
        .bits = 4, .group_size = 128, .symmetric = std::string(run).ends_with("_sym"), .observer = WeightObserver::mse};
    for (const auto& [name, w] : smoothed(folder, folder / run)) {
      const Difference difference = compare(w, rounding, golden, name);
      codes += difference.codes;
      differing += difference.differing;
    }
  }
  EXPECT_GT(codes, 1'000'000u);
  EXPECT_EQ(differing, 0u) << "of " << codes;
}

}  // namespace
}  // namespace duan::quant
