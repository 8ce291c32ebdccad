// Quantized checkpoints in both engines against transformers with compressed-tensors.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "base/atomic_file.h"
#include "base/error.h"
#include "base/json.h"
#include "checkpoint/writer.h"
#include "engine/int8_rows.h"
#include "engine/plan.h"
#include "eval/compare.h"
#include "support/models.h"
#include "support/paths.h"

namespace duan {
namespace {

struct Case {
  const char* checkpoint;
  double rel_l2;
};

// Four-bit weights are plain numbers once read: fp32 differs by the order of sums alone. Rounded inputs flip to the
// neighbouring code where a sum's last bit decides, one in some thousands; each flip moves a product by 1/127 of its
// row's largest value.
constexpr Case kCases[] = {{"qwen3_tied/awq_w4a16_asym", 1e-5},
                           {"qwen3_tied/awq_w4a16_sym", 1e-5},
                           {"qwen3_untied_mha/awq_w4a16_sym", 1e-5},
                           {"qwen3_untied_mha/int8_w8a8_dynamic", 5e-3}};

TEST(Quantized, BothEnginesGiveTheLogitsOfTransformers) {
  DUAN_NEEDS_REFERENCE();
  const auto folder = *test::reference_dir() / "golden" / "awq";
  for (const Case& c : kCases) {
    const models::Model model = models::Model::open(folder / c.checkpoint);
    engine::Options options;
    options.context = 64;
    options.compute = engine::Compute::fp32;
    const auto golden = folder / (std::string(c.checkpoint) + "_ref.safetensors");
    for (const int threads : {1, 3}) {
      options.threads = threads;
      const auto reference = engine::make_reference(model.graph, model.checkpoint, options);
      EXPECT_LE(eval::compare(model, *reference, golden, 1).rel_l2, c.rel_l2) << c.checkpoint;
      const auto native = engine::make_native(model.graph, model.checkpoint, options);
      EXPECT_LE(eval::compare(model, *native, golden, 1).rel_l2, c.rel_l2) << c.checkpoint;
    }
  }
}

// ---- every format, made from a tiny model

struct Form {
  const char* name;
  int bits;
  int64_t group_size;  // 0: int8 codes with one scale a row
  bool zero_points;    // of weights
  const char* input;   // "none" | "dynamic" | "fixed"
};

constexpr Form kForms[] = {{"int8, weights alone", 8, 0, false, "none"},
                           {"int8, dynamic inputs", 8, 0, false, "dynamic"},
                           {"int8, static inputs", 8, 0, false, "fixed"},
                           {"int4 in groups of 16", 4, 16, false, "none"},
                           {"int4 in groups of 16, asymmetric", 4, 16, true, "none"},
                           {"int4 in groups of 4, asymmetric", 4, 4, true, "none"},
                           {"int8 in groups of 16, asymmetric", 8, 16, true, "none"}};

struct Tensor {
  checkpoint::TensorSpec spec;
  std::vector<std::byte> bytes;
};

template <class T>
Tensor tensor(const std::string& name, DType dtype, const Shape& shape, const std::vector<T>& values) {
  const auto bytes = std::as_bytes(std::span(values));
  return {{name, dtype, shape}, {bytes.begin(), bytes.end()}};
}

// The matrix as codes, scales and zero points; embeddings too, and the head's input where it is tied to them.
void add_matrix(const Form& form, const std::string& module, const Weight& weight, bool tied,
                std::vector<Tensor>& out) {
  const int64_t rows = weight.rows(), columns = weight.columns();
  const int64_t size = form.group_size == 0 ? columns : form.group_size, groups = columns / size;
  const int middle = 1 << (form.bits - 1), per_word = 32 / form.bits;
  std::vector<float> scales;
  std::vector<int8_t> codes;
  std::vector<uint32_t> words(static_cast<size_t>(rows * columns / per_word));
  std::vector<uint32_t> points(static_cast<size_t>((rows + per_word - 1) / per_word * groups));
  std::vector<float> row(static_cast<size_t>(columns));
  const auto set = [&](std::vector<uint32_t>& packed, int64_t word, int64_t place, int code) {
    packed[static_cast<size_t>(word)] |= static_cast<uint32_t>(code + middle) << (place * form.bits);
  };
  for (int64_t r = 0; r < rows; ++r) {
    weight.row_to_float(r, row.data());
    for (int64_t g = 0; g < groups; ++g) {
      const int zero_point = form.zero_points ? static_cast<int>((r + 2 * g) % 5) - 2 : 0;
      float largest = 1e-6f;
      for (int64_t k = g * size; k < (g + 1) * size; ++k) {
        largest = std::max(largest, std::abs(row[static_cast<size_t>(k)]));
      }
      scales.push_back(largest / static_cast<float>(middle - 2));
      set(points, r / per_word * groups + g, r % per_word, zero_point);
      for (int64_t k = g * size; k < (g + 1) * size; ++k) {
        const float code = std::round(row[static_cast<size_t>(k)] / scales.back()) + static_cast<float>(zero_point);
        codes.push_back(static_cast<int8_t>(std::clamp(static_cast<int>(code), -middle, middle - 1)));
        set(words, (r * columns + k) / per_word, k % per_word, codes.back());
      }
    }
  }
  out.push_back(tensor(module + ".weight_scale", DType::f32, {rows, groups}, scales));
  if (form.group_size == 0) {
    out.push_back(tensor(module + ".weight", DType::i8, {rows, columns}, codes));
    if (std::string_view(form.input) == "fixed") {
      const bool embedding = module == "model.embed_tokens";
      if (embedding && !tied) return;
      const std::string reader = embedding ? "lm_head" : module;
      out.push_back(tensor<float>(reader + ".input_scale", DType::f32, {1}, {0.04f}));
      out.push_back(tensor<int8_t>(reader + ".input_zero_point", DType::i8, {1}, {-5}));
    }
    return;
  }
  out.push_back(tensor(module + ".weight_packed", DType::i32, {rows, columns / per_word}, words));
  out.push_back(tensor<int64_t>(module + ".weight_shape", DType::i64, {2}, {rows, columns}));
  if (form.zero_points) {
    out.push_back(
        tensor(module + ".weight_zero_point", DType::i32, {(rows + per_word - 1) / per_word, groups}, points));
  }
}

Json quantization_config(const Form& form) {
  Json weights = {{"num_bits", form.bits}, {"type", "int"}, {"symmetric", !form.zero_points}};
  weights["strategy"] = form.group_size == 0 ? "channel" : "group";
  if (form.group_size != 0) weights["group_size"] = form.group_size;
  Json input;
  if (std::string_view(form.input) != "none") {
    const bool dynamic = std::string_view(form.input) == "dynamic";
    input = {{"num_bits", 8}, {"type", "int"}, {"symmetric", dynamic}, {"dynamic", dynamic}};
    input["strategy"] = dynamic ? "token" : "tensor";
  }
  return {{"quant_method", "compressed-tensors"},
          {"quantization_status", "compressed"},
          {"format", form.group_size == 0 ? "int-quantized" : "pack-quantized"},
          {"ignore", Json::array()},
          {"config_groups",
           {{"group_0", {{"targets", {"Linear"}}, {"weights", weights}, {"input_activations", input}}},
            {"group_1", {{"targets", {"Embedding"}}, {"weights", weights}}}}}};
}

// A tiny model in this form, in `folder`.
models::Model quantized_model(const Form& form, const char* source, const std::filesystem::path& folder) {
  const auto from = test::data_dir() / "models" / source;
  const models::Model model = models::Model::open(from);
  std::vector<Tensor> tensors;
  for (const ir::WeightInfo& info : model.graph.weights) {
    const Weight weight = model.checkpoint.weight(info.name, info.shape);
    if (info.shape.size() == 2) {
      add_matrix(form, info.name.substr(0, info.name.rfind('.')), weight, model.config.tie_word_embeddings, tensors);
      continue;
    }
    std::vector<float> values(static_cast<size_t>(weight.columns()));
    weight.row_to_float(0, values.data());
    tensors.push_back(tensor(info.name, DType::f32, info.shape, values));
  }
  std::vector<checkpoint::TensorSpec> specs;
  for (const Tensor& t : tensors) specs.push_back(t.spec);
  std::filesystem::copy(from, folder, std::filesystem::copy_options::recursive);
  std::filesystem::remove(folder / "model.safetensors");
  checkpoint::write_safetensors(folder / "model.safetensors", specs,
                                [&](size_t i, const checkpoint::ByteSink& sink) { sink(tensors[i].bytes); });
  Json config = parse_json(read_file(folder / "config.json"), "config.json");
  config["quantization_config"] = quantization_config(form);
  write_file_atomically(folder / "config.json", config.dump());
  return models::Model::open(folder);
}

std::vector<int64_t> some_ids(const models::Model& model) {
  std::vector<int64_t> ids;
  for (int64_t i = 0; i < 40; ++i) ids.push_back(i * 7 % model.config.vocab_size);
  return ids;
}

TEST(Quantized, TheNativeEngineAgreesWithTheReferenceInEveryForm) {
  // In the reference's order of sums, or rounded inputs would flip to neighbouring codes where a last bit decides.
  ASSERT_EQ(setenv("DUAN_KERNEL", "linear:ref,rows:ref,attention:ref", 1), 0);
  for (const char* source : {"qwen3-tied", "qwen3-untied"}) {
    for (const Form& form : kForms) {
      const test::TemporaryDir temporary;
      const models::Model model = quantized_model(form, source, temporary.path() / "model");
      engine::Options options;
      options.context = 64;
      options.compute = engine::Compute::fp32;
      const auto reference = engine::make_reference(model.graph, model.checkpoint, options);
      const auto native = engine::make_native(model.graph, model.checkpoint, options);
      const std::vector<int64_t> ids = some_ids(model);
      const auto expected = reference->forward(ids), actual = native->forward(ids);
      ASSERT_EQ(actual.size(), expected.size());
      double difference = 0, size = 0;
      for (size_t i = 0; i < actual.size(); ++i) {
        difference += std::pow(actual[i] - expected[i], 2);
        size += std::pow(expected[i], 2);
      }
      EXPECT_LE(std::sqrt(difference / size), 1e-5) << source << ", " << form.name;
    }
  }
  unsetenv("DUAN_KERNEL");
}

TEST(Quantized, ResultsDoNotDependOnThreadsOrChunks) {
  for (const Form& form : kForms) {
    const test::TemporaryDir temporary;
    const models::Model model = quantized_model(form, "qwen3-tied", temporary.path() / "model");
    const std::vector<int64_t> ids = some_ids(model);
    for (const engine::Compute compute : {engine::Compute::fp32, engine::Compute::bf16}) {
      std::vector<float> first;
      for (const int threads : {1, 2, 3}) {
        for (const int64_t chunk : {1, 7, 512}) {
          engine::Options options;
          options.context = 64;
          options.compute = compute;
          options.threads = threads;
          options.chunk = chunk;
          const auto engine = engine::make_native(model.graph, model.checkpoint, options);
          const auto logits = engine->forward(ids);
          if (first.empty()) first.assign(logits.begin(), logits.end());
          EXPECT_TRUE(std::equal(first.begin(), first.end(), logits.begin(), logits.end()))
              << form.name << ", threads " << threads << ", chunk " << chunk;
        }
      }
    }
  }
}

TEST(Quantized, RefusesRowsTooLongForASumIn32Bits) {
  const std::vector<float> scales = {0.5f};
  const std::vector<std::byte> codes(70000);
  const Int8Channel format{codes.data(), {DType::f32, reinterpret_cast<const std::byte*>(scales.data())}, {}};
  EXPECT_THROW(engine::int8_row_scales({"w", {1, 70000}, format}), Error);
  EXPECT_EQ(engine::int8_row_scales({"w", {1, 65536}, format}), scales);
}

TEST(Quantized, ProductsThatShareAnInputRoundItOnce) {
  for (const Form& form : kForms) {
    if (std::string_view(form.input) == "none") continue;
    const test::TemporaryDir temporary;
    const models::Model model = quantized_model(form, "qwen3-tied", temporary.path() / "model");
    engine::Options options;
    options.context = 64;
    const engine::Plan plan =
        engine::make_plan(model.graph, engine::weights_of(model.checkpoint), options, {}, engine::PlanRows::asked);
    int64_t roundings = 0;
    for (const engine::Step& step : plan.steps) roundings += std::holds_alternative<engine::RoundInputStep>(step.work);
    // For q, k and v; o; gate and up; down. And once for the head.
    EXPECT_EQ(roundings, 4 * model.config.num_hidden_layers + 1) << form.name;
  }
}

}  // namespace
}  // namespace duan
