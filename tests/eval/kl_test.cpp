#include "eval/kl.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <map>

#include "base/error.h"
#include "base/json.h"
#include "models/model.h"
#include "support/models.h"

namespace duan::eval {
namespace {

namespace fs = std::filesystem;
using engine::Compute;

std::unique_ptr<engine::Engine> make(const models::Model& model, Compute compute = Compute::fp32, int threads = 1,
                                     int64_t context = 128) {
  engine::Options options;
  options.context = context;
  options.threads = threads;
  options.compute = compute;
  return engine::make_native(model.graph, model.checkpoint, options);
}

models::Model tiny(const std::string& name) { return models::Model::open(test::data_dir() / "models" / name); }

std::string error_of(engine::Engine& model, engine::Engine& reference, const std::vector<std::vector<int64_t>>& ids) {
  try {
    divergence(model, reference, ids);
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}

// The folder `from` with keys of config.json set otherwise.
void copy_model(const fs::path& from, const fs::path& to, const Json& change) {
  Json config = read_json(from / "config.json");
  config.update(change);
  fs::create_directories(to);
  std::ofstream(to / "config.json") << to_text(config);
  fs::copy(from / "model.safetensors", to / "model.safetensors");
}

void expect_interval(const Interval& actual, const Json& expected, double tolerance) {
  EXPECT_NEAR(actual.low / expected.at(0).get<double>(), 1, tolerance);
  EXPECT_NEAR(actual.high / expected.at(1).get<double>(), 1, tolerance);
}

void expect_golden(const Divergence& d, const Json& expected) {
  EXPECT_EQ(d.kl.count(), expected.at("tokens").get<int64_t>());
  EXPECT_DOUBLE_EQ(d.top1, expected.at("top1").get<double>());
  const Json& kl = expected.at("kl");
  EXPECT_NEAR(d.kl.value() / kl.at("mean").get<double>(), 1, 1e-4);
  expect_interval(d.kl.interval(), kl.at("interval_95"), 1e-4);
  for (const auto& [key, percent] :
       {std::pair("median", 50.0), {"p90", 90.0}, {"p95", 95.0}, {"p99", 99.0}, {"p99_9", 99.9}, {"max", 100.0}}) {
    EXPECT_NEAR(percentile(d.sorted_kl, percent) / kl.at(key).get<double>(), 1, 1e-3) << key;
  }
  for (const auto& [key, actual] :
       {std::pair("perplexity", d.perplexity), {"reference_perplexity", d.reference_perplexity}}) {
    EXPECT_NEAR(actual.perplexity / expected.at(key).at("value").get<double>(), 1, 1e-4) << key;
    expect_interval(actual.interval, expected.at(key).at("interval_95"), 1e-4);
  }
  const Json& ratio = expected.at("ln_perplexity_ratio");
  EXPECT_NEAR(d.loss_difference.value(), ratio.at("value").get<double>(), 1e-5);
  EXPECT_NEAR(d.loss_difference.interval().low, ratio.at("interval_95").at(0).get<double>(), 1e-5);
  EXPECT_NEAR(d.loss_difference.interval().high, ratio.at("interval_95").at(1).get<double>(), 1e-5);
}

// What numpy made of transformers' logits (tools/make_kl_goldens.py).
void check_goldens(const std::string& where, const fs::path& root) {
  size_t checked = 0;
  for (const Json& pair : read_json(test::data_dir() / "kl.json")) {
    if (pair.at("where") != where) continue;
    const test::TemporaryDir dir;
    copy_model(root / pair.at("model").get<std::string>(), dir.path() / "model", pair.at("change"));
    const models::Model model = models::Model::open(dir.path() / "model");
    const models::Model reference = models::Model::open(root / pair.at("reference").get<std::string>());
    const auto engine = make(model, Compute::fp32, 2), reference_engine = make(reference);
    SCOPED_TRACE(pair.at("model").get<std::string>());
    expect_golden(divergence(*engine, *reference_engine, pair.at("sequences").get<std::vector<std::vector<int64_t>>>()),
                  pair.at("expected"));
    ++checked;
  }
  EXPECT_EQ(checked, 2u);
}

TEST(Kl, OfHandComputedLogits) {
  // Softmax 1/8, 2/8, 5/8 and 1/4, 1/4, 2/4.
  const std::vector<float> reference = {0, std::log(2.0f), std::log(5.0f)}, model = {10, 10, 10 + std::log(2.0f)};
  const TokenDivergence d = token_divergence(reference, model, 1);
  EXPECT_NEAR(d.kl, std::log(0.5) / 8 + 5 * std::log(1.25) / 8, 1e-6);
  EXPECT_NEAR(d.loss, std::log(4.0), 1e-6);
  EXPECT_NEAR(d.reference_loss, std::log(4.0), 1e-6);
  EXPECT_TRUE(d.same_top);
  const std::vector<float> other = {3, 2, 1};
  EXPECT_FALSE(token_divergence(reference, other, 0).same_top);
}

TEST(Kl, IsNotSymmetricAndSurvivesExtremeLogits) {
  const std::vector<float> certain = {1000, 0, -1000}, undecided = {0, 0, 0};
  EXPECT_NEAR(token_divergence(certain, undecided, 0).kl, std::log(3.0), 1e-12);
  // Each third of the reference's probability meets log(1/3) + 0, + 1000, + 2000.
  EXPECT_NEAR(token_divergence(undecided, certain, 0).kl, 1000 - std::log(3.0), 1e-9);
}

TEST(Kl, OfAModelWithItselfIsExactlyZero) {
  const models::Model model = tiny("qwen3-untied");
  const auto a = make(model), b = make(model, Compute::fp32, 2);
  const Divergence d = divergence(*a, *b, {{1, 2, 3, 4, 5, 6, 7}, {9}, {}, {8, 9, 10}});
  EXPECT_EQ(d.kl.count(), 8);
  EXPECT_EQ(d.kl.value(), 0);
  EXPECT_EQ(d.sorted_kl.back(), 0);
  EXPECT_EQ(d.top1, 1);
  EXPECT_EQ(d.loss_difference.value(), 0);
  EXPECT_EQ(d.loss_difference.standard_error(), 0);
  EXPECT_EQ(d.perplexity.perplexity, d.reference_perplexity.perplexity);
  EXPECT_EQ(a->position(), 0);
  EXPECT_EQ(b->position(), 0);
}

TEST(Kl, OfRoundedActivationsIsSmallButThere) {
  const models::Model model = tiny("qwen3-untied");
  const auto rounded = make(model, Compute::bf16), exact = make(model);
  const Divergence d = divergence(*rounded, *exact, {{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}});
  EXPECT_GT(d.sorted_kl.front(), 0);
  EXPECT_LT(d.sorted_kl.back(), 0.1);
}

TEST(Kl, PerplexityIsTheOneMeasuredAlone) {
  const models::Model model = tiny("qwen2"), reference = tiny("llama3");
  const auto a = make(model), b = make(reference);
  const std::vector<std::vector<int64_t>> sequences = {{1, 2, 3, 4, 5, 6, 7}, {8, 9, 10}};
  std::vector<int64_t> seen;
  const Divergence d = divergence(*a, *b, sequences, [&](int64_t done) { seen.push_back(done); });
  EXPECT_EQ(seen, (std::vector<int64_t>{6, 8}));
  EXPECT_DOUBLE_EQ(d.perplexity.perplexity, perplexity(*a, sequences).perplexity);
  EXPECT_DOUBLE_EQ(d.reference_perplexity.interval.high, perplexity(*b, sequences).interval.high);
}

TEST(Kl, OfSomePositionsIsTheMeanOfTheirDivergences) {
  const models::Model model = tiny("qwen2"), reference = tiny("llama3");
  const auto a = make(model, Compute::fp32, 2, 1200), b = make(reference, Compute::fp32, 1, 1200);
  // Longer than the rows held at once; the middle piece has nothing to predict.
  std::vector<int64_t> ids(1150);
  for (size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<int64_t>((i * 37 + 11) % 97);
  const Predicted predicted = {{3, 512, 513, 1030}, {}, {2}};
  const std::vector<std::vector<int64_t>> sequences = {ids, {1, 2}, {4, 5, 6}};
  const auto rows = [&](engine::Engine& engine) {
    std::map<std::pair<size_t, int64_t>, std::vector<float>> found;
    for (size_t i = 0; i < sequences.size(); ++i) {
      engine.truncate(0);
      engine.forward_all(sequences[i], [&](int64_t index, std::span<const float> logits) {
        if (std::count(predicted[i].begin(), predicted[i].end(), index + 1) == 0) return;
        found[{i, index + 1}] = {logits.begin(), logits.end()};
      });
    }
    return found;
  };
  const auto of_model = rows(*a), of_reference = rows(*b);
  ASSERT_EQ(of_model.size(), 5u);
  Mean kl, difference;
  for (const auto& [where, logits] : of_model) {
    const TokenDivergence token =
        token_divergence(of_reference.at(where), logits, sequences[where.first][static_cast<size_t>(where.second)]);
    kl.add(token.kl);
    difference.add(token.loss - token.reference_loss);
  }
  const Divergence d = divergence(*a, *b, sequences, {}, predicted);
  EXPECT_EQ(d.kl.count(), 5);
  EXPECT_NEAR(d.kl.value() / kl.value(), 1, 1e-4);  // rows are not cut into the same pieces
  EXPECT_NEAR(d.loss_difference.value(), difference.value(), 1e-4);
  EXPECT_DOUBLE_EQ(d.perplexity.perplexity, perplexity(*a, sequences, {}, predicted).perplexity);
  EXPECT_THROW(divergence(*a, *b, sequences, {}, {{}, {}, {}}), Error);
}

TEST(Kl, OfTinyModelsEqualsNumpy) { check_goldens("data", test::data_dir()); }

TEST(Kl, OfReferenceModelsEqualsNumpy) {
  DUAN_NEEDS_REFERENCE();
  check_goldens("reference", *test::reference_dir());
}

TEST(Kl, RefusesWhatCannotBeCompared) {
  const models::Model demo = models::Model::open(test::source_dir() / "models" / "demo"), model = tiny("qwen2");
  const auto a = make(model), b = make(demo);
  EXPECT_NE(error_of(*a, *b, {{1, 2}}).find("the model predicts 208 tokens, the reference 3072"), std::string::npos);
  const auto c = make(model);
  EXPECT_NE(error_of(*a, *c, {{1, 208}}).find("208 is outside the vocabulary"), std::string::npos);
  EXPECT_NE(error_of(*a, *c, {{-1, 2}}).find("-1 is outside the vocabulary"), std::string::npos);
  EXPECT_NE(error_of(*a, *c, {{1}, {}}).find("no sequence of two"), std::string::npos);
  const auto small = make(model, Compute::fp32, 1, 4);
  EXPECT_NE(error_of(*a, *small, {{1, 2, 3, 4, 5}}).find("5 tokens does not fit a context of 4"), std::string::npos);
  EXPECT_EQ(error_of(*a, *small, {{1, 2, 3, 4}}), "");
}

}  // namespace
}  // namespace duan::eval
