// Whole checkpoints by GPTQ and awq-gptq.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "base/cpu.h"
#include "base/error.h"
#include "engine/engine.h"
#include "eval/kl.h"
#include "quant/quantize.h"
#include "quant/support.h"
#include "quant/work_folder.h"
#include "support/models.h"

namespace duan::quant {
namespace {

namespace fs = std::filesystem;
using test::options_for;

std::unique_ptr<engine::Engine> engine_of(const models::Model& model) {
  engine::Options options;
  options.context = 64;
  options.compute = engine::Compute::fp32;
  options.threads = 1;
  return engine::make_native(model.graph, model.checkpoint, options);
}

double divergence(const models::Model& a, const models::Model& b, const CalibrationSet& samples) {
  return eval::divergence(*engine_of(a), *engine_of(b), samples.samples).kl.value();
}

std::string error_of(const std::function<void()>& work) {
  try {
    work();
  } catch (const Error& e) {
    return std::string(e.what()) + " | " + e.hint();
  }
  return "";
}

TEST(QuantizeByGrams, IsNearerToTheSourceAndSaysByHowMuch) {
  const test::TemporaryDir dir;
  const models::Model model = models::Model::open(test::model_with_outliers(dir.path()));
  const CalibrationSet samples = test::some_samples(model.config.vocab_size, 12, 60),
                       judged_on = test::some_samples(model.config.vocab_size, 3, 32);
  QuantizeOptions options = options_for(Method::rtn);
  options.recipe.weights.group_size = 16;
  options.recipe.include = {"embed_tokens", "lm_head"};
  quantize(model, nullptr, dir.path() / "rtn", options);
  const double to_nearest = divergence(models::Model::open(dir.path() / "rtn"), model, judged_on);
  for (const Method method : {Method::gptq, Method::awq_gptq}) {
    for (const WeightObserver observer : {WeightObserver::mse, WeightObserver::imatrix}) {
      options.recipe.method = method;
      options.recipe.weights.observer = observer;
      options.recipe.weights.symmetric = observer == WeightObserver::mse;
      const fs::path out = dir.path() / fmt::format("{}-{}", method_name(method), weight_observer_name(observer));
      const Json report = quantize(model, &samples, out, options);
      EXPECT_LT(divergence(models::Model::open(out), model, judged_on), 0.7 * to_nearest) << out;
      for (const Json& module : report.at("modules")) {
        if (module.at("module") == "model.embed_tokens") {
          EXPECT_EQ(module.at("to_nearest"), "no inputs tell which errors of an embedding matter");
          EXPECT_EQ(module.contains("unweighted"), observer == WeightObserver::imatrix);
          EXPECT_FALSE(module.contains("loss_after"));
          continue;
        }
        EXPECT_FALSE(module.contains("to_nearest"));
        EXPECT_GT(module.at("loss_after").get<double>(), 0) << module;
        EXPECT_LT(module.at("loss_after").get<double>(), module.at("loss_before").get<double>()) << module;
        // Others make up for what was left before them, which has nothing to do with their weights here.
        const std::string name = module.at("module");
        if (name.ends_with("o_proj") || name.ends_with("down_proj")) continue;
        EXPECT_LT(module.at("output_error").get<double>(), module.at("output_error_unsmoothed").get<double>())
            << module;
      }
      size_t scaled = 0;
      for (const Json& pair : report.at("smoothing")) scaled += !pair.contains("not_smoothed");
      EXPECT_EQ(scaled > 3, method == Method::awq_gptq);
      EXPECT_EQ(report.at("recipe").at("damping"), 0.01);
    }
  }
  for (const bool by_method : {true, false}) {
    options.recipe.method = by_method ? Method::gptq : Method::rtn;
    EXPECT_NE(error_of([&] {
                quantize(model, nullptr, dir.path() / "none", options);
              }).find(by_method ? "gptq measures activations on them" : "imatrix weighs errors by them"),
              std::string::npos);
  }
}

// The demo's own dialogues: 32 to calibrate on and 8 to judge by.
struct Texts {
  CalibrationSet samples, held_out;
};
Texts demo_texts(const models::Model& demo) {
  Texts texts{load_calibration({{demo.folder / "calibration.jsonl"}, 40, 64, 0}, demo.folder, demo.config.vocab_size),
              {}};
  for (int i = 0; i < 8; ++i) {
    texts.held_out.samples.push_back(std::move(texts.samples.samples.back()));
    texts.samples.samples.pop_back();
  }
  return texts;
}

// On text it was not calibrated on.
TEST(QuantizeByGrams, IsMuchNearerToTheDemoModel) {
  const models::Model model = models::Model::open(test::source_dir() / "models/demo");
  const Texts texts = demo_texts(model);
  const test::TemporaryDir dir;
  QuantizeOptions options = options_for(Method::rtn);
  options.recipe.weights.group_size = 128;
  const auto divergence_of = [&](Method method, bool propagate_error = true) {
    options.recipe.method = method;
    options.recipe.propagate_error = propagate_error;
    const fs::path out = dir.path() / fmt::format("{}-{}", method_name(method), propagate_error);
    quantize(model, options.recipe.needs_samples() ? &texts.samples : nullptr, out, options);
    return divergence(models::Model::open(out), model, texts.held_out);
  };
  const double to_nearest = divergence_of(Method::rtn), gptq = divergence_of(Method::gptq, false);
  EXPECT_LT(gptq, 0.75 * to_nearest);
  EXPECT_LT(divergence_of(Method::gptq), 0.6 * to_nearest);
  options.recipe.propagate_tokens = texts.samples.tokens() / 2;
  fs::remove_all(dir.path() / "gptq-true");
  EXPECT_LT(divergence_of(Method::gptq), 0.7 * to_nearest);
}

// Within what roundings that might have gone either way make of so few tokens.
TEST(QuantizeByGrams, IsAsNearWhenItCalibratesInBf16) {
  const models::Model model = models::Model::open(test::source_dir() / "models/demo");
  const Texts texts = demo_texts(model);
  const test::TemporaryDir dir;
  QuantizeOptions options = options_for(Method::awq);
  options.recipe.weights.group_size = 128;
  options.recipe.search_tokens = 512;  // in seconds, sanitizers included
  for (const Method method : {Method::awq, Method::gptq, Method::awq_gptq}) {
    options.recipe.method = method;
    std::map<engine::Compute, double> found;
    for (const engine::Compute compute : {engine::Compute::fp32, engine::Compute::bf16}) {
      options.recipe.compute = compute;
      const fs::path out = dir.path() / fmt::format("{}-{}", method_name(method), engine::compute_name(compute));
      const Json report = quantize(model, &texts.samples, out, options);
      EXPECT_EQ(report.at("recipe").at("compute"), engine::compute_name(compute));
      found[compute] = divergence(models::Model::open(out), model, texts.held_out);
    }
    EXPECT_LT(found[engine::Compute::bf16], 1.3 * found[engine::Compute::fp32]) << method_name(method);
  }
}

TEST(QuantizeByGrams, KnowsItsComputeAndWhatAutomaticBecame) {
  const models::Model model = models::Model::open(test::source_dir() / "models/demo");
  const CalibrationSet samples = test::some_samples(model.config.vocab_size, 2, 12);
  const test::TemporaryDir dir;
  QuantizeOptions options = options_for(Method::gptq);
  options.recipe.weights.group_size = 128;
  options.recipe.compute = engine::Compute::automatic;
  const Json report = quantize(model, &samples, dir.path() / "automatic", options);
  EXPECT_EQ(report.at("recipe").at("compute"), isa_allowed(Isa::avx512_bf16) ? "bf16" : "fp32");

  struct Stop {};
  options.recipe.compute = engine::Compute::bf16;
  EXPECT_THROW(quantize(model, &samples, dir.path() / "out", options,
                        [](const QuantizeProgress& p) {
                          if (p.what.ends_with("layers.1.mlp")) throw Stop();
                        }),
               Stop);
  options.recipe.compute = engine::Compute::fp32;
  const std::string error = error_of([&] { quantize(model, &samples, dir.path() / "out", options); });
  EXPECT_NE(error.find("compute, \"bf16\" then and \"fp32\" now"), std::string::npos) << error;

  options = options_for(Method::int8_static);  // always in fp32
  options.recipe.compute = engine::Compute::bf16;
  EXPECT_FALSE(quantize(model, &samples, dir.path() / "int8", options).at("recipe").contains("compute"));
}

TEST(QuantizeByGrams, NamesLayersWhoseInputsAreTooLargeForTheirSquares) {
  const test::TemporaryDir dir;
  test::copy_model_with(test::data_dir() / "models/qwen3-untied", dir.path() / "model",
                        "model.layers.0.mlp.up_proj.weight",
                        [](std::vector<float>& values) { std::fill(values.begin(), values.end(), 1e24f); });
  const models::Model model = models::Model::open(dir.path() / "model");
  const CalibrationSet samples = test::some_samples(model.config.vocab_size);
  QuantizeOptions options = options_for(Method::gptq);
  options.recipe.weights.group_size = 16;
  const std::string error = error_of([&] { quantize(model, &samples, dir.path() / "out", options); });
  EXPECT_NE(error.find("model.layers.0.mlp.down_proj: its calibration inputs are too large or too small"),
            std::string::npos)
      << error;
}

TEST(QuantizeByGrams, EveryWidthAndGroupGoesThroughOurEngine) {
  for (const char* name : {"qwen2", "qwen3-tied"}) {
    const models::Model model = models::Model::open(test::data_dir() / "models" / name);
    const CalibrationSet samples = test::some_samples(model.config.vocab_size, 3, 40);
    for (const int64_t group_size : {0, 16}) {
      for (const bool symmetric : {true, false}) {
        QuantizeOptions options = options_for(group_size == 0 ? Method::gptq : Method::awq_gptq);
        options.recipe.weights.bits = 8;
        options.recipe.weights.group_size = group_size;
        options.recipe.weights.symmetric = symmetric;
        const test::TemporaryDir dir;
        quantize(model, &samples, dir.path() / "out", options);
        EXPECT_LT(divergence(models::Model::open(dir.path() / "out"), model, samples), 5e-3) << name;
      }
    }
  }
}

TEST(QuantizeByGrams, GivesTheSameBytesForAnyThreadsAndAfterAnyStop) {
  const models::Model model = models::Model::open(test::data_dir() / "models/qwen3-untied");
  const CalibrationSet samples = test::some_samples(model.config.vocab_size, 2, 12);
  for (const engine::Compute compute : {engine::Compute::fp32, engine::Compute::bf16}) {
    const test::TemporaryDir dir;
    QuantizeOptions options = options_for(Method::awq_gptq);
    options.recipe.weights.group_size = 16;
    options.recipe.compute = compute;
    quantize(model, &samples, dir.path() / "one", options);
    options.threads = 3;
    quantize(model, &samples, dir.path() / "three", options);
    const auto expected = test::files_of(dir.path() / "one");
    EXPECT_EQ(expected, test::files_of(dir.path() / "three"));

    struct Stop {};
    options.threads = 1;
    for (const char* stage : {"inputs", "scales", "weights"}) {
      const fs::path out = dir.path() / "stopped";
      fs::remove_all(out);
      EXPECT_THROW(quantize(model, &samples, out, options,
                            [&](const QuantizeProgress& p) {
                              if (p.what == "model.layers.1.mlp" && p.stage == stage) throw Stop();
                            }),
                   Stop)
          << stage;
      EXPECT_FALSE(fs::exists(out));
      std::string first;
      quantize(model, &samples, out, options, [&](const QuantizeProgress& p) {
        if (first.empty()) first = p.what;
      });
      EXPECT_EQ(first, "model.layers.1.mlp");
      EXPECT_EQ(expected, test::files_of(out)) << stage;
    }
  }
}

}  // namespace
}  // namespace duan::quant
