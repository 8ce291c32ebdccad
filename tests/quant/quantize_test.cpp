#include "quant/quantize.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <limits>

#include "base/error.h"
#include "base/log.h"
#include "engine/engine.h"
#include "eval/kl.h"
#include "quant/support.h"
#include "quant/work_folder.h"
#include "support/models.h"

namespace duan::quant {
namespace {

namespace fs = std::filesystem;
using test::options_for;

std::unique_ptr<engine::Engine> engine_of(const models::Model& model, bool reference = false) {
  engine::Options options;
  options.context = 64;
  options.compute = engine::Compute::fp32;
  options.threads = 1;
  return reference ? engine::make_reference(model.graph, model.checkpoint, options)
                   : engine::make_native(model.graph, model.checkpoint, options);
}

double divergence(const models::Model& a, const models::Model& b, bool reference_engine = false, size_t samples = 3) {
  const auto engine = engine_of(a, reference_engine), other = engine_of(b);
  return eval::divergence(*engine, *other, test::some_samples(a.config.vocab_size, samples, 32).samples).kl.value();
}

std::string error_of(const std::function<void()>& work) {
  try {
    work();
  } catch (const Error& e) {
    return std::string(e.what()) + " | " + e.hint();
  }
  return "";
}

std::vector<fs::path> models_to_try() {
  return {test::data_dir() / "models/qwen2", test::data_dir() / "models/qwen3-tied",
          test::data_dir() / "models/qwen3-untied", test::data_dir() / "vl/qwen3-vl",
          test::source_dir() / "models/demo"};
}

TEST(Quantize, ValuesThatHeadsShareAreSmoothedOnRequest) {
  for (const char* name : {"qwen2", "qwen3-tied"}) {  // with a bias, and without
    SCOPED_TRACE(name);
    const models::Model model = models::Model::open(test::data_dir() / "models" / name);
    const CalibrationSet samples = test::some_samples(model.config.vocab_size, 5, 40);
    double plain = 0;
    for (const bool smooth_gqa : {false, true}) {
      const test::TemporaryDir dir;
      QuantizeOptions options = options_for(Method::int8_dynamic);
      options.recipe.alpha = 0.5;
      options.recipe.smooth_gqa = smooth_gqa;
      const Json report = quantize(model, &samples, dir.path() / "out", options);
      const auto has_pair = [&](const Json& pair) {
        return pair.at("consumers").at(0).get<std::string>().ends_with("o_proj") && pair.contains("scales");
      };
      EXPECT_EQ(std::any_of(report.at("smoothing").begin(), report.at("smoothing").end(), has_pair), smooth_gqa);
      const double found = divergence(model, models::Model::open(dir.path() / "out"));
      if (!smooth_gqa) plain = found;
      EXPECT_LT(found, 1.5 * plain) << "smoothing changed what is computed";
    }
  }
}

TEST(Quantize, EveryMethodWritesWhatOurEnginesRunCloseToTheSource) {
  for (const auto& folder : models_to_try()) {
    const models::Model model = models::Model::open(folder);
    // The demo model has forty times the weights of the others, and trying each alpha costs seven times as much as one:
    // sanitizers would take minutes for everything with everything.
    const bool is_large = model.checkpoint.total_bytes() > 1'000'000;
    const CalibrationSet samples = test::some_samples(model.config.vocab_size, is_large ? 2 : 5, is_large ? 32 : 40);
    for (const Method method : {Method::int8_static, Method::int8_dynamic, Method::rtn, Method::awq}) {
      if (is_large && (method == Method::int8_dynamic || method == Method::awq)) continue;
      QuantizeOptions options = options_for(method);
      options.recipe.weights.group_size = options.recipe.packed() ? 16 : 0;
      options.recipe.weights.bits = 8;
      if (folder.filename() != "qwen3-untied") options.recipe.alpha = 0.5;
      const test::TemporaryDir dir;
      const Json report = quantize(model, &samples, dir.path() / "out", options);
      const models::Model quantized = models::Model::open(dir.path() / "out");
      const double native = divergence(quantized, model, false, is_large ? 1 : 3),
                   reference = divergence(quantized, model, true, is_large ? 1 : 3);
      EXPECT_LT(native, options.recipe.packed() ? 5e-3 : 5e-2) << folder << " " << method_name(method);
      EXPECT_LT(reference, 2 * native + 1e-6) << folder;
      EXPECT_GT(native, 0) << folder;
      EXPECT_FALSE(fs::exists(WorkFolder::path_for(dir.path() / "out")));
      for (const Json& module : report.at("modules")) {
        if (module.contains("kept")) continue;
        EXPECT_LT(module.at("weight_error").get<double>(), 0.02) << module;
        EXPECT_LT(module.value("output_error", 0.0), 0.1) << module;
      }
      EXPECT_EQ(read_json(dir.path() / "out" / kReportFile), report);
    }
  }
}

TEST(Quantize, LeavesWhatItDoesNotQuantizeAsItWas) {
  const models::Model model = models::Model::open(test::source_dir() / "models/demo");
  const test::TemporaryDir dir;
  QuantizeOptions options = options_for(Method::rtn);
  options.recipe.weights.observer = WeightObserver::minmax;
  quantize(model, nullptr, dir.path() / "out", options);
  const auto before = checkpoint::Checkpoint::open(model.folder),
             after = checkpoint::Checkpoint::open(dir.path() / "out");
  size_t untouched = 0;
  for (const auto& tensor : before.tensors()) {
    const auto view = after.find(tensor.name);
    if (tensor.name.find("_proj") != std::string::npos) {
      EXPECT_FALSE(view) << tensor.name;
      continue;
    }
    ASSERT_TRUE(view) << tensor.name;
    EXPECT_EQ(std::memcmp(view->data, before.find(tensor.name)->data, tensor.bytes), 0) << tensor.name;
    ++untouched;
  }
  EXPECT_GT(untouched, 17u);
  for (const char* name : {"tokenizer.json", "tokenizer_config.json", "generation_config.json", "merges.txt"}) {
    EXPECT_EQ(read_file(model.folder / name), read_file(dir.path() / "out" / name)) << name;
  }
  Json config = read_json(dir.path() / "out" / "config.json");
  config.erase("quantization_config");
  EXPECT_EQ(config, read_json(model.folder / "config.json"));
}

TEST(Quantize, GivesTheSameBytesForAnyThreadsAndAfterAnyStop) {
  const models::Model model = models::Model::open(test::data_dir() / "models/qwen3-untied");
  const CalibrationSet samples = test::some_samples(model.config.vocab_size, 2, 12);
  for (const Method method : {Method::int8_static, Method::awq}) {
    const test::TemporaryDir dir;
    QuantizeOptions options = options_for(method);
    options.recipe.weights.group_size = options.recipe.packed() ? 16 : 0;
    options.threads = 1;
    quantize(model, &samples, dir.path() / "one", options);
    options.threads = 3;
    quantize(model, &samples, dir.path() / "three", options);
    const auto expected = test::files_of(dir.path() / "one");
    EXPECT_EQ(expected, test::files_of(dir.path() / "three"));

    struct Stop {};
    for (int calls = 0; calls < 400; calls += 1 + calls) {
      const fs::path out = dir.path() / "stopped";
      fs::remove_all(out);
      fs::remove_all(WorkFolder::path_for(out));
      int left = calls;
      bool stopped = false;
      try {
        quantize(model, &samples, out, options, [&](const QuantizeProgress&) {
          if (left-- == 0) throw Stop();
        });
      } catch (const Stop&) {
        stopped = true;
        EXPECT_FALSE(fs::exists(out));
      }
      if (!stopped) break;
      std::string first;
      quantize(model, &samples, out, options, [&](const QuantizeProgress& p) {
        EXPECT_LE(p.done, p.total);
        if (first.empty()) first = p.what;
      });
      EXPECT_TRUE(calls <= 100 || first != "model.embed_tokens");  // what was finished is not done again
      ASSERT_EQ(expected, test::files_of(out)) << method_name(method) << calls;
    }
  }
}

TEST(Quantize, WhatFailsInTheBackgroundStopsItAndIsDoneAgain) {
  const models::Model model = models::Model::open(test::data_dir() / "models/qwen3-untied");
  const CalibrationSet samples = test::some_samples(model.config.vocab_size);
  const test::TemporaryDir dir;
  const fs::path out = dir.path() / "out", in_the_way = WorkFolder::path_for(out) / "hidden-1.safetensors";
  QuantizeOptions options = options_for(Method::awq_gptq);
  options.recipe.weights.group_size = 16;
  quantize(model, &samples, dir.path() / "expected", options);
  fs::create_directories(in_the_way / "folder");
  const std::string error = error_of([&] { quantize(model, &samples, out, options); });
  EXPECT_NE(error.find("hidden-1.safetensors"), std::string::npos) << error;
  EXPECT_FALSE(fs::exists(out));
  fs::remove_all(in_the_way);
  quantize(model, &samples, out, options);
  EXPECT_EQ(test::files_of(out), test::files_of(dir.path() / "expected"));
}

TEST(Quantize, WorkThatClaimsMoreBlocksThanThereAreIsAnError) {
  const models::Model model = models::Model::open(test::data_dir() / "models/llama3");
  const test::TemporaryDir dir;
  const fs::path out = dir.path() / "out", state_file = WorkFolder::path_for(out) / "state.json";
  QuantizeOptions options = options_for(Method::int8_dynamic);
  struct Stop {};
  const auto stop = [](const QuantizeProgress& p) {
    if (p.writing) throw Stop();
  };
  EXPECT_THROW(quantize(model, nullptr, out, options, stop), Stop);
  Json state = read_json(state_file);
  state["finished"] = 1000;
  std::ofstream(state_file) << to_text(state);
  const std::string error = error_of([&] { quantize(model, nullptr, out, options); });
  EXPECT_NE(error.find("1000 of"), std::string::npos) << error;
  EXPECT_NE(error.find("--restart"), std::string::npos) << error;
  options.restart = true;
  quantize(model, nullptr, out, options);
  EXPECT_TRUE(fs::exists(out));
}

TEST(Quantize, StoppedWhileReplacingAnOlderOutputItGoesOn) {
  const models::Model model = models::Model::open(test::data_dir() / "models/llama3");
  const test::TemporaryDir dir;
  const fs::path out = dir.path() / "out";
  QuantizeOptions options = options_for(Method::int8_dynamic);
  options.recipe.keep = {"q_proj"};
  quantize(model, nullptr, out, options);
  const auto older = test::files_of(out);
  options.recipe.keep = {};
  options.overwrite = true;
  quantize(model, nullptr, dir.path() / "expected", options);
  struct Stop {};
  EXPECT_THROW(quantize(model, nullptr, out, options,
                        [](const QuantizeProgress& p) {
                          if (p.writing && 2 * p.done > p.total) throw Stop();
                        }),
               Stop);
  EXPECT_EQ(test::files_of(out), older);
  // The output is there, and only the work folder was not removed.
  const fs::path work = WorkFolder::path_for(out), kept = dir.path() / "kept";
  fs::copy(work, kept);
  quantize(model, nullptr, out, options);
  EXPECT_EQ(test::files_of(out), test::files_of(dir.path() / "expected"));
  struct stat info {};
  ASSERT_EQ(::stat(out.c_str(), &info), 0);
  Json state = read_json(kept / "state.json");
  state["committing"] = info.st_ino;
  std::ofstream(kept / "state.json") << to_text(state);
  fs::rename(kept, work);
  options.overwrite = false;
  EXPECT_EQ(quantize(model, nullptr, out, options), read_json(out / kReportFile));
  EXPECT_FALSE(fs::exists(work));
}

TEST(Quantize, SmoothingChangesNothingButTheRounding) {
  // Everything is kept but one layer's consumers; the model must stay what it was up to that layer's codes.
  const models::Model model = models::Model::open(test::source_dir() / "models/demo");
  const CalibrationSet samples = test::some_samples(model.config.vocab_size, 3, 12);
  QuantizeOptions options = options_for(Method::int8_dynamic);
  options.recipe.alpha = 0.7;
  options.recipe.keep = {"embed", "self_attn", "up_proj", "gate_proj", R"(layers\.[123])"};
  const test::TemporaryDir dir;
  const Json report = quantize(model, &samples, dir.path() / "out", options);
  const models::Model quantized = models::Model::open(dir.path() / "out");
  options.recipe.smooth = false;
  quantize(model, &samples, dir.path() / "plain", options);
  const double smoothed = divergence(quantized, model);
  EXPECT_LT(smoothed, 5e-3);
  EXPECT_LT(smoothed, 3 * divergence(models::Model::open(dir.path() / "plain"), model));
  // up_proj's rows were divided by powers of two, exactly.
  const std::string name = "model.language_model.layers.0.mlp.up_proj.weight";
  const Shape shape{512, 256};
  const Weight before = model.checkpoint.weight(name, shape), after = quantized.checkpoint.weight(name, shape);
  std::vector<float> a(256), b(256);
  int changed = 0;
  for (int64_t row = 0; row < 512; ++row) {
    before.row_to_float(row, a.data());
    after.row_to_float(row, b.data());
    int exponent = 0;
    const float factor = a[0] / b[0];
    EXPECT_EQ(std::frexp(factor, &exponent), 0.5f);
    changed += factor != 1;
    for (size_t c = 0; c < 256; ++c) EXPECT_EQ(a[c], b[c] * factor);
  }
  EXPECT_GT(changed, 100);
}

TEST(Quantize, AwqSaysWhatItChoseAndIsNearerToTheSource) {
  const test::TemporaryDir dir;
  const fs::path folder = test::model_with_outliers(dir.path());
  const models::Model model = models::Model::open(folder);
  const CalibrationSet samples = test::some_samples(model.config.vocab_size, 6, 30);
  QuantizeOptions options = options_for(Method::awq);
  options.recipe.weights.group_size = 0;
  options.recipe.weights.observer = WeightObserver::minmax;
  const Json report = quantize(model, &samples, dir.path() / "awq", options);
  options.recipe.method = Method::rtn;
  quantize(model, nullptr, dir.path() / "rtn", options);
  EXPECT_LT(divergence(models::Model::open(dir.path() / "awq"), model),
            0.8 * divergence(models::Model::open(dir.path() / "rtn"), model));

  size_t scaled = 0;
  for (const Json& pair : report.at("smoothing")) {
    if (pair.at("producer") == "model.norm") {
      EXPECT_EQ(pair.at("not_smoothed"), "what the head reads is not scaled");
      continue;
    }
    const double before = pair.at("loss_before").get<double>(), after = pair.at("loss_after").get<double>();
    EXPECT_GT(after, 0) << pair;
    EXPECT_EQ(after < before, !pair.contains("not_smoothed")) << pair;
    EXPECT_GE(pair.at("ratio").get<double>(), 0);
    scaled += after < before;
  }
  EXPECT_GT(scaled, 5u);
  // Beside the codes only norms differ from the source, and they have its dtypes.
  const auto before = checkpoint::Checkpoint::open(folder), after = checkpoint::Checkpoint::open(dir.path() / "awq");
  for (const auto& tensor : before.tensors()) {
    if (tensor.name.find("_proj") != std::string::npos) continue;
    const auto view = after.find(tensor.name);
    ASSERT_TRUE(view) << tensor.name;
    EXPECT_EQ(view->dtype, tensor.dtype) << tensor.name;
    if (tensor.name.find("layernorm") != std::string::npos) continue;
    EXPECT_EQ(std::memcmp(view->data, before.find(tensor.name)->data, tensor.bytes), 0) << tensor.name;
  }
  EXPECT_NE(error_of([&] {
              options.recipe.method = Method::awq;
              quantize(model, nullptr, dir.path() / "none", options);
            }).find("awq measures activations on them"),
            std::string::npos);
}

TEST(Quantize, AwqLosesNothingWhereMatricesAreKept) {
  const test::TemporaryDir dir;
  const models::Model model = models::Model::open(test::model_with_outliers(dir.path()));
  const CalibrationSet samples = test::some_samples(model.config.vocab_size);
  QuantizeOptions options = options_for(Method::awq);
  options.recipe.weights.bits = 8;
  options.recipe.weights.group_size = 0;
  options.recipe.keep = {"k_proj", "up_proj", "o_proj"};
  const Json report = quantize(model, &samples, dir.path() / "out", options);
  const models::Model quantized = models::Model::open(dir.path() / "out");
  EXPECT_LT(divergence(quantized, model), 5e-3);
  size_t changed = 0;
  for (const char* kept : {"model.layers.0.self_attn.k_proj.weight", "model.layers.0.mlp.up_proj.weight"}) {
    for (const ir::WeightInfo& info : model.graph.weights) {
      if (info.name != kept) continue;
      const Weight a = model.checkpoint.weight(kept, info.shape), b = quantized.checkpoint.weight(kept, info.shape);
      std::vector<float> x(static_cast<size_t>(a.columns())), y(x.size());
      for (int64_t row = 0; row < a.rows(); ++row) {
        a.row_to_float(row, x.data());
        b.row_to_float(row, y.data());
        for (size_t c = 0; c < x.size(); ++c) {
          if (x[c] == 0) continue;
          int exponent = 0;
          EXPECT_EQ(std::frexp(y[c] / x[c], &exponent), 0.5f);
          changed += x[c] != y[c];
        }
      }
    }
  }
  EXPECT_GT(changed, 100u);
  options.recipe.keep = {"layers.0.mlp"};
  const Json kept = quantize(model, &samples, dir.path() / "kept", options);
  for (const Json& pair : kept.at("smoothing")) {
    if (pair.at("producer").get<std::string>().find("layers.0.post") != std::string::npos) {
      EXPECT_EQ(pair.at("not_smoothed"), "its consumers are kept");
    }
  }
}

TEST(Quantize, StaysWithinItsBudgetAndKeepsTheWorst) {
  const models::Model model = models::Model::open(test::source_dir() / "models/demo");
  const CalibrationSet samples = test::some_samples(model.config.vocab_size, 2, 12);
  QuantizeOptions options = options_for(Method::int8_static);
  options.recipe.budget = 85;  // the vision tower, which stays as it is, is more than half of the model
  options.recipe.alpha = 0.5;  // trying all takes sanitizers minutes
  const test::TemporaryDir dir;
  const Json report = quantize(model, &samples, dir.path() / "out", options);
  const double part = report.at("bytes").at("output").get<double>() / report.at("bytes").at("source").get<double>();
  EXPECT_LE(part, 0.85);
  EXPECT_GT(part, 0.81);
  double worst_quantized = 0, worst_kept = 0;
  size_t kept = 0;
  for (const Json& module : report.at("modules")) {
    double& worst = module.contains("kept") ? worst_kept : worst_quantized;
    worst = std::max(worst, module.at("output_error").get<double>());
    kept += module.contains("kept");
  }
  EXPECT_GT(kept, 3u);
  EXPECT_GT(worst_kept, worst_quantized);
  const models::Model quantized = models::Model::open(dir.path() / "out");
  options.recipe.budget = 0;
  quantize(model, &samples, dir.path() / "all", options);
  EXPECT_LT(divergence(quantized, model), divergence(models::Model::open(dir.path() / "all"), model));

  options.recipe.budget = 30;
  EXPECT_NE(error_of([&] { quantize(model, &samples, dir.path() / "less", options); }).find("--budget: 30 %"),
            std::string::npos);
  EXPECT_NE(error_of([&] { quantize(model, nullptr, dir.path() / "none", options); }).find("no calibration samples"),
            std::string::npos);
}

TEST(Quantize, NamesWeightsThatAreNotNumbers) {
  const fs::path source = test::data_dir() / "models/llama3";
  for (const char* tensor : {"model.layers.0.mlp.up_proj.weight", "model.norm.weight", "model.embed_tokens.weight"}) {
    const test::TemporaryDir dir;
    test::copy_model_with(source, dir.path() / "model", tensor, [](std::vector<float>& values) {
      values[values.size() / 2] = std::numeric_limits<float>::quiet_NaN();
    });
    const models::Model model = models::Model::open(dir.path() / "model");
    const CalibrationSet samples = test::some_samples(model.config.vocab_size);
    for (const Method method : {Method::int8_static, Method::int8_dynamic, Method::awq}) {
      const std::string error = error_of([&] {
        const bool calibrated = method != Method::int8_dynamic;
        QuantizeOptions options = options_for(method);
        options.recipe.weights.group_size = options.recipe.packed() ? 16 : 0;
        quantize(model, calibrated ? &samples : nullptr, dir.path() / method_name(method), options);
      });
      EXPECT_NE(error.find(std::string("\"") + tensor + "\" holds nan"), std::string::npos) << error;
      EXPECT_FALSE(fs::exists(dir.path() / method_name(method)));
    }
  }
}

TEST(Quantize, NamesLayersWhoseInputsOverflow) {
  const test::TemporaryDir dir;
  test::copy_model_with(test::data_dir() / "models/qwen3-untied", dir.path() / "model",
                        "model.layers.0.mlp.up_proj.weight",
                        [](std::vector<float>& values) { std::fill(values.begin(), values.end(), 3e38f); });
  const models::Model model = models::Model::open(dir.path() / "model");
  const CalibrationSet samples = test::some_samples(model.config.vocab_size);
  const std::string error =
      error_of([&] { quantize(model, &samples, dir.path() / "out", options_for(Method::int8_static)); });
  EXPECT_NE(error.find("model.layers.0.mlp.down_proj: its input is not finite in calibration sample 1"),
            std::string::npos)
      << error;
}

TEST(Quantize, LayersThatReadOnlyZerosGetAScaleAndAWarning) {
  const test::TemporaryDir dir;
  test::copy_model_with(test::data_dir() / "models/qwen3-untied", dir.path() / "model",
                        "model.layers.0.mlp.up_proj.weight",
                        [](std::vector<float>& values) { std::fill(values.begin(), values.end(), 0.0f); });
  const models::Model model = models::Model::open(dir.path() / "model");
  const CalibrationSet samples = test::some_samples(model.config.vocab_size);
  std::string warnings;
  set_warning_sink([&](const std::string& line) { warnings += line + "\n"; });
  quantize(model, &samples, dir.path() / "out", options_for(Method::int8_static));
  set_warning_sink({});
  EXPECT_NE(warnings.find("model.layers.0.mlp.down_proj: every calibration input is 0; its scale is 1"),
            std::string::npos)
      << warnings;
  EXPECT_LT(divergence(models::Model::open(dir.path() / "out"), model), 0.1);

  warnings.clear();
  set_warning_sink([&](const std::string& line) { warnings += line + "\n"; });
  QuantizeOptions options = options_for(Method::awq);
  options.recipe.weights.bits = 8;
  options.recipe.weights.group_size = 16;
  quantize(model, &samples, dir.path() / "awq", options);
  set_warning_sink({});
  EXPECT_NE(warnings.find("model.layers.0.mlp.down_proj: every calibration input is 0; its columns are not scaled"),
            std::string::npos)
      << warnings;
  EXPECT_LT(divergence(models::Model::open(dir.path() / "awq"), model), 0.1);
}

TEST(Quantize, RefusesOutputsThatAreNotItsOwn) {
  const models::Model model = models::Model::open(test::data_dir() / "models/llama3");
  const test::TemporaryDir dir;
  const fs::path out = dir.path() / "out";
  fs::create_directory(out);
  std::ofstream(out / "precious.txt") << "mine";
  QuantizeOptions options = options_for(Method::int8_dynamic);
  const auto run = [&](const fs::path& where) { return error_of([&] { quantize(model, nullptr, where, options); }); };
  EXPECT_NE(run(out).find("the folder is not empty"), std::string::npos);
  options.overwrite = true;
  EXPECT_NE(run(out).find("holds no quantization_report.json"), std::string::npos);
  EXPECT_NE(run(model.folder).find("the folder of the model itself"), std::string::npos);
  EXPECT_NE(run(out / "precious.txt").find("is not a folder"), std::string::npos);
  EXPECT_EQ(test::files_of(out).size(), 1u);
  EXPECT_FALSE(fs::exists(WorkFolder::path_for(out)));
  EXPECT_EQ(run(dir.path() / "fresh"), "");
  EXPECT_EQ(run(dir.path() / "fresh"), "");  // replaces its own
  const models::Model again = models::Model::open(dir.path() / "fresh");
  EXPECT_NE(error_of([&] { quantize(again, nullptr, dir.path() / "twice", options); }).find("quantized already"),
            std::string::npos);
}

}  // namespace
}  // namespace duan::quant
