// AWQ against runs of llm-compressor, pair by pair and code by code.
#include <gtest/gtest.h>

#include "ir/subgraph.h"
#include "quant/awq.h"
#include "quant/golden.h"
#include "quant/modules.h"
#include "quant/smoothing.h"
#include "quant/support.h"

// Whole searches over all tokens: minutes under sanitizers, where awq_test.cpp and quantize_test.cpp run the same code.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define DUAN_NEEDS_SPEED() GTEST_SKIP() << "takes minutes under sanitizers"
#else
#define DUAN_NEEDS_SPEED()
#endif

namespace duan::quant {
namespace {

namespace fs = std::filesystem;
using checkpoint::SafetensorsFile;

QuantizeOptions as_in_the_run(bool symmetric, DuoScaling duo) {
  QuantizeOptions options;
  options.recipe.method = Method::awq;
  options.recipe.weights = {.bits = 4, .group_size = 128, .symmetric = symmetric, .observer = WeightObserver::mse};
  options.recipe.duo = duo;
  options.recipe.search_tokens = 0;
  options.threads = 1;
  return options;
}

std::string producer_of(const Json& pair) { return pair.at("producer").get<std::string>(); }

TEST(AwqReference, MeansAndScalesAreLlmCompressors) {
  DUAN_NEEDS_REFERENCE();
  for (const auto& [name, run] : {std::pair{"qwen3_tied", "awq_w4a16_asym"}, {"qwen3_untied_mha", "awq_w4a16_sym"}}) {
    const fs::path folder = *test::reference_dir() / "golden/awq" / name;
    const models::Model model = models::Model::open(folder / "src");
    const CalibrationSet samples = test::golden_samples(folder / "calib.safetensors");
    const Json trace = read_json(folder / run / "awq_trace.json");
    const auto theirs = test::read_doubles(folder / run / "awq_trace.safetensors");
    ThreadPool pool(1);
    HiddenStates hidden;
    size_t number = 0;
    for (const Block& block : find_blocks(model.graph)) {
      const ir::Graph graph = ir::subgraph(model.graph, block.first, block.last);
      std::vector<SmoothingPair> pairs;
      Observed observed;
      for (const SmoothingPair& pair : find_smoothing(model.graph).pairs) {
        if (pair.producer < block.first || pair.consumers.back() >= block.last || number + pairs.size() == trace.size())
          continue;
        pairs.push_back(pair);
        observed[model.graph.value(pair.value).name];
      }
      HiddenStates out;
      const auto seen = run_block({graph, engine::weights_of(model.checkpoint), samples, 1}, hidden, &out, observed);
      hidden = std::move(out);
      for (const SmoothingPair& pair : pairs) {
        const std::string key = std::to_string(number);
        std::vector<SourceMatrix> consumers;
        for (const ir::NodeId id : pair.consumers) {
          const ir::WeightInfo& info = model.graph.weight(std::get<ir::Linear>(model.graph.node(id).op).weight);
          consumers.emplace_back(model.checkpoint, info.name, info.shape);
        }
        const std::vector<float>& x_mean = seen.at(model.graph.value(pair.value).name).channel_mean;
        const std::vector<double> w_mean = awq_weight_means(consumers, 128, pool);
        const AwqPoint point{trace[number].at("best_ratio").get<double>(), trace[number].at("best_duo").get<bool>()};
        const std::vector<float> scales = awq_scales(x_mean, w_mean, point);
        ASSERT_EQ(scales.size(), theirs.at(key + ".scales").size());
        for (size_t c = 0; c < scales.size(); ++c) {
          EXPECT_NEAR(x_mean[c] / theirs.at(key + ".x_mean")[c], 1, 1e-6) << key << " " << c;
          EXPECT_NEAR(w_mean[c] / theirs.at(key + ".w_mean")[c], 1, 1e-6) << key << " " << c;
          EXPECT_NEAR(scales[c] / theirs.at(key + ".scales")[c], 1, 1e-6) << key << " " << c;
        }
        ++number;
      }
    }
    EXPECT_EQ(number, trace.size());
  }
}

TEST(AwqReference, AsymmetricChoicesScalesAndCodesAreLlmCompressors) {
  DUAN_NEEDS_SPEED();
  DUAN_NEEDS_REFERENCE();
  const fs::path folder = *test::reference_dir() / "golden/awq/qwen3_tied", run = folder / "awq_w4a16_asym";
  const test::TemporaryDir dir;
  test::widen(folder / "src", dir.path() / "wide");
  const models::Model model = models::Model::open(dir.path() / "wide");
  const CalibrationSet samples = test::golden_samples(folder / "calib.safetensors");
  const Json report =
      quantize(model, &samples, dir.path() / "out", as_in_the_run(/*symmetric=*/false, DuoScaling::both));

  const Json trace = read_json(run / "awq_trace.json");
  const Json& pairs = report.at("smoothing");
  ASSERT_EQ(trace.size(), 6u);
  ASSERT_EQ(pairs.size(), 6u);
  for (size_t i = 0; i < trace.size(); ++i) {
    EXPECT_EQ(producer_of(pairs[i]), trace[i].at("smooth").get<std::string>());
    EXPECT_EQ(pairs[i].at("consumers"), trace[i].at("balance"));
    EXPECT_NEAR(pairs[i].at("ratio").get<double>(), trace[i].at("best_ratio").get<double>(), 1e-9) << pairs[i];
    EXPECT_EQ(pairs[i].at("duo_scaling"), trace[i].at("best_duo")) << pairs[i];
    for (const auto& [ours, theirs] : {std::pair{"loss_before", "loss_identity"}, {"loss_after", "loss_best"}}) {
      EXPECT_NEAR(pairs[i].at(ours).get<double>() / trace[i].at(theirs).get<double>(), 1, 5e-4) << i << " " << ours;
    }
  }

  const SafetensorsFile ours(dir.path() / "out/model.safetensors"), theirs(run / "model.safetensors");
  ASSERT_EQ(ours.entries().size(), theirs.entries().size());
  size_t words = 0, differing = 0;
  for (const checkpoint::TensorEntry& entry : theirs.entries()) {
    const auto a = ours.find(entry.name), b = theirs.find(entry.name);
    ASSERT_TRUE(a) << entry.name;
    ASSERT_EQ(a->dtype, b->dtype) << entry.name;
    ASSERT_EQ(a->shape, b->shape) << entry.name;
    if (a->dtype == DType::f32) {
      const std::vector<float> x = test::floats(ours, entry.name), y = test::floats(theirs, entry.name);
      for (size_t k = 0; k < x.size(); ++k) ASSERT_NEAR(x[k] / y[k], 1, 2e-6) << entry.name << " " << k;
      continue;
    }
    for (size_t at = 0; at < b->bytes; at += 4) differing += std::memcmp(a->data + at, b->data + at, 4) != 0;
    words += b->bytes / 4;
  }
  EXPECT_GT(words, 140'000u);
  EXPECT_EQ(differing, 0u);
}

TEST(AwqReference, SymmetricRunsAreAsNearToTheSourceAsLlmCompressors) {
  DUAN_NEEDS_SPEED();
  DUAN_NEEDS_REFERENCE();
  const fs::path root = *test::reference_dir() / "golden/awq";
  const Json summary = read_json(root / "summary.json");
  for (const char* name : {"qwen3_tied", "qwen3_untied_mha"}) {
    const fs::path folder = root / name;
    const test::TemporaryDir dir;
    test::widen(folder / "src", dir.path() / "wide");
    const CalibrationSet samples = test::golden_samples(folder / "calib.safetensors");
    const Json trace = read_json(folder / "awq_w4a16_sym/awq_trace.json");
    for (const bool wide : {true, false}) {
      const models::Model model = models::Model::open(wide ? dir.path() / "wide" : folder / "src");
      const fs::path out = dir.path() / (wide ? "of_f32" : "of_bf16");
      const Json report = quantize(model, &samples, out, as_in_the_run(/*symmetric=*/true, DuoScaling::on));
      const double theirs = summary.at(std::string(name) + "/awq_w4a16_sym").at("rel_err_vs_src").get<double>();
      const double error = test::error_against(folder / "src_ref.safetensors", models::Model::open(out));
      RecordProperty(std::string(name) + (wide ? "_f32" : "_bf16"), std::to_string(error / theirs));
      EXPECT_LE(error, 1.05 * theirs) << name << " " << wide;
      // There the largest weight of every group lies on a border of two codes: losses are alike, not equal.
      for (size_t i = 0; i < trace.size(); ++i) {
        const Json& pair = report.at("smoothing").at(i);
        EXPECT_EQ(producer_of(pair), trace[i].at("smooth").get<std::string>());
        EXPECT_NEAR(pair.at("ratio").get<double>(), trace[i].at("best_ratio").get<double>(), 2.5 / 18) << pair;
        EXPECT_LE(pair.at("loss_after").get<double>(), 1.25 * trace[i].at("loss_best").get<double>()) << pair;
      }
    }
  }
}

TEST(AwqReference, VisionModelsKeepTheirTowerAndAreAsNearToTheSource) {
  DUAN_NEEDS_SPEED();
  DUAN_NEEDS_REFERENCE();
  const fs::path root = *test::reference_dir() / "golden/awq", folder = root / "qwen3vl";
  const models::Model model = models::Model::open(folder / "src");
  const CalibrationSet samples = test::golden_samples(folder / "calib.safetensors");
  const test::TemporaryDir dir;
  quantize(model, &samples, dir.path() / "out", as_in_the_run(/*symmetric=*/true, DuoScaling::on));
  const models::Model quantized = models::Model::open(dir.path() / "out");
  const Json theirs = read_json(root / "summary.json").at("qwen3vl/awq_w4a16_sym_bf16");
  const double text = test::error_against(folder / "src_ref.safetensors", quantized);
  const double image = test::error_against(folder / "src_ref.safetensors", quantized, /*images=*/true);
  RecordProperty("text", std::to_string(text));
  RecordProperty("image", std::to_string(image));
  EXPECT_LE(text, 1.05 * theirs.at("rel_err_vs_src").get<double>());
  EXPECT_LE(image, 1.05 * theirs.at("image_rel_err").get<double>());
  EXPECT_LT(test::error_against(folder / "src_ref.safetensors", model, /*images=*/true), 1e-4);

  const SafetensorsFile golden(folder / "awq_w4a16_sym_bf16/model.safetensors"),
      ours(dir.path() / "out/model.safetensors"), source(folder / "src/model.safetensors");
  std::map<std::string, Shape> shapes;
  for (const auto& entry : golden.entries()) shapes[entry.name] = entry.shape;
  size_t untouched = 0;
  for (const auto& entry : ours.entries()) {
    ASSERT_TRUE(shapes.contains(entry.name)) << entry.name;
    EXPECT_EQ(shapes[entry.name], entry.shape) << entry.name;
    if (entry.name.find("visual") == std::string::npos && entry.name.find("embed") == std::string::npos) continue;
    const auto before = source.find(entry.name), after = ours.find(entry.name);
    ASSERT_EQ(before->bytes, after->bytes) << entry.name;
    EXPECT_EQ(std::memcmp(before->data, after->data, before->bytes), 0) << entry.name;
    ++untouched;
  }
  EXPECT_EQ(ours.entries().size(), shapes.size());
  EXPECT_GT(untouched, 30u);
}

}  // namespace
}  // namespace duan::quant
