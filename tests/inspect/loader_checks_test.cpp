// What loaders ask for, on checkpoints of llm-compressor and on good ones with one thing wrong.
#include "inspect/loader_checks.h"

#include <gtest/gtest.h>

#include <functional>

#include "base/error.h"
#include "support/errors.h"
#include "support/paths.h"
#include "support/rounded_models.h"

namespace duan::inspect {
namespace {
namespace fs = std::filesystem;

using test::RoundingForm;
using test::stored;
using test::StoredTensor;

constexpr LoaderOptions kTransformers{.loader = Loader::transformers};

std::vector<LoaderCheck> failures(const fs::path& folder, const LoaderOptions& options) {
  std::vector<LoaderCheck> failed = check_for_loader(folder, options);
  std::erase_if(failed, [](const LoaderCheck& check) { return check.verdict != Verdict::fail; });
  return failed;
}

std::string text(const std::vector<LoaderCheck>& checks) {
  std::string out;
  for (const LoaderCheck& c : checks) out += fmt::format("{}: {} | {} | {}\n", c.what, c.found, c.expected, c.advice);
  return out;
}

// The demo model, whose extents suit vLLM's kernels, and a tiny one; both made once.
class LoaderChecks : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = new test::TemporaryDir;
    test::write_rounded_model(test::source_dir() / "models" / "demo", demo(),
                              {.storage = "compressed-tensors", .group = 128, .symmetric = true});
    test::write_rounded_model(test::data_dir() / "models" / "qwen3-untied", tiny(), {.storage = "compressed-tensors"});
  }
  static void TearDownTestSuite() { delete folder_; }

  static fs::path demo() { return folder_->path() / "demo"; }
  static fs::path tiny() { return folder_->path() / "tiny"; }

  // A copy with another config.json; weights are shared.
  static fs::path with_config(const fs::path& from, const std::function<void(Json& config)>& change) {
    const fs::path to = folder_->path() / fmt::format("copy-{}", copies_++);
    fs::create_directory(to);
    fs::create_hard_link(from / "model.safetensors", to / "model.safetensors");
    Json config = read_json(from / "config.json");
    change(config);
    write_file_atomically(to / "config.json", to_text(config));
    return to;
  }

  static fs::path with_tensors(const std::function<void(std::vector<StoredTensor>& tensors)>& change) {
    const fs::path to = folder_->path() / fmt::format("copy-{}", copies_++);
    fs::create_directory(to);
    fs::copy_file(tiny() / "config.json", to / "config.json");
    const checkpoint::SafetensorsFile file(tiny() / "model.safetensors");
    std::vector<StoredTensor> tensors;
    for (const auto& entry : file.entries()) {
      const auto view = file.view(entry);
      tensors.push_back({{entry.name, entry.dtype, entry.shape}, {view.data, view.data + view.bytes}});
    }
    change(tensors);
    test::write_tensors(to / "model.safetensors", tensors);
    return to;
  }

 private:
  static inline test::TemporaryDir* folder_ = nullptr;
  static inline int copies_ = 0;
};

TEST_F(LoaderChecks, GoodOnesAreGood) {
  for (const LoaderOptions& options :
       {LoaderOptions{}, LoaderOptions{.tensor_parallel = 2}, LoaderOptions{.cpu = true}, kTransformers}) {
    EXPECT_EQ(text(failures(demo(), options)), "");
  }
  EXPECT_EQ(text(failures(tiny(), kTransformers)), "");
  // Every requirement has its line, and each says something.
  const auto checks = check_for_loader(demo(), {});
  EXPECT_GE(checks.size(), 25u);
  for (const LoaderCheck& check : checks) EXPECT_FALSE(check.found.empty()) << check.what;
  EXPECT_EQ(text(failures(test::data_dir() / "models" / "qwen3-untied", {})), "");  // not quantized
}

TEST_F(LoaderChecks, AThetaThatOlderTransformersDoNotFindIsNoted) {
  const auto noted = [](const fs::path& folder, const LoaderOptions& options) {
    const std::vector<LoaderCheck> checks = check_for_loader(folder, options);
    return std::ranges::count_if(
        checks, [](const LoaderCheck& c) { return c.what == "rope_theta" && c.verdict == Verdict::note; });
  };
  const auto moved = [](bool keep) {
    return [keep](Json& config) {
      config["rope_parameters"] = {{"rope_type", "default"}, {"rope_theta", 10000.0}};
      config.erase("rope_theta");
      if (keep) config["rope_theta"] = 10000.0;
    };
  };
  EXPECT_EQ(noted(with_config(tiny(), moved(false)), kTransformers), 1);
  EXPECT_EQ(noted(with_config(tiny(), moved(true)), kTransformers), 0);
  EXPECT_EQ(noted(with_config(tiny(), moved(false)), {}), 0);
}

TEST_F(LoaderChecks, LlmCompressorsCheckpointsLoadInTransformers) {
  DUAN_NEEDS_REFERENCE();
  const fs::path golden = *test::reference_dir() / "golden" / "awq";
  for (const char* name : {"qwen3_tied/awq_w4a16_sym", "qwen3_tied/awq_w4a16_asym", "qwen3_untied_mha/awq_w4a16_sym",
                           "qwen3_untied_mha/int8_w8a8_dynamic", "qwen3vl/awq_w4a16_sym_bf16"}) {
    EXPECT_EQ(text(failures(golden / name, kTransformers)), "") << name;
    EXPECT_EQ(text(failures(golden / name, {})), "") << name;
  }
}

TEST_F(LoaderChecks, NameWhatIsWrongInTheConfiguration) {
  struct Case {
    const char* what;
    const char* found;
    std::function<void(Json& quantization)> change;
    LoaderOptions options = {};
  };
  const auto weights = [](const char* key, const Json& value) {
    return [=](Json& q) { q["config_groups"]["group_0"]["weights"][key] = value; };
  };
  const auto top = [](const char* key, const Json& value) { return [=](Json& q) { q[key] = value; }; };
  const Case cases[] = {
      {"quant_method", "\"sparseml\"", top("quant_method", "sparseml")},
      {"quantization_status", "nothing", [](Json& q) { q.erase("quantization_status"); }},
      {"quantization_status", "\"frozen\"", top("quantization_status", "frozen")},
      {"format", "marlin-24", top("format", "marlin-24")},
      {"ignore", "\"lm_head\"", top("ignore", "lm_head")},
      {"ignore", "re:a(b", top("ignore", {"lm_head", "re:.*visual.*", "re:a(b"})},
      {"targets and ignore", "model.visual.blocks.0.attn.qkv is plain and not in ignore", top("ignore", {"lm_head"})},
      {"targets and ignore", "lm_head is plain (the embedding's matrix)", top("ignore", {"re:.*visual.*"})},
      {"targets and ignore", "down_proj holds integers and no target names it (and 3 more)",
       top("ignore", {"lm_head", "re:.*visual.*", "re:.*down_proj"})},
      {"sparsity_config", "{\"format\":\"dense\"}", top("sparsity_config", {{"format", "dense"}})},
      {"transform_config", "{\"a\":1}", top("transform_config", {{"a", 1}})},
      {"KV cache", "no model.language_model.layers.0.self_attn.k_scale", top("kv_cache_scheme", {{"num_bits", 8}})},
      {"group_0 keys", "weights.block_size", weights("block_size", 3)},
      {"group_0 keys", "input", [](Json& q) { q["config_groups"]["group_0"]["input"] = nullptr; }},
      {"group_0 targets", "[]", [](Json& q) { q["config_groups"]["group_0"]["targets"] = Json::array(); }},
      {"group_0 bits", "5", weights("num_bits", 5)},
      {"group_0 bits", "2147483647", weights("num_bits", 2147483647)},
      {"targets and ignore", "model.visual.pos_embed is plain",
       [](Json& q) {
         q["config_groups"]["group_0"]["targets"].push_back("Embedding");
         q["ignore"] = {"lm_head", "model.language_model.embed_tokens", "re:model.visual.[bmd].*",
                        "re:.*patch_embed.*"};
       }},
      {"group_0 type of weights", "\"float\"", weights("type", "float")},
      {"group_0 strategy", "tensor with group_size 128", weights("strategy", "tensor")},
      {"group_0 group_size", "256", weights("group_size", 256)},
      {"group_0 symmetric", "\"yes\"", weights("symmetric", "yes")},
      {"group_0 zero points", "asymmetric 8-bit weights",
       [&](Json& q) { weights("symmetric", false)(q), weights("num_bits", 8)(q); }},
      {"group_0 zero points", "asymmetric 4-bit weights", weights("symmetric", false), {.cpu = true}},
      {"group_0 dynamic", "true", weights("dynamic", true)},
      {"group_0 actorder", "\"group\"", weights("actorder", "group")},
      {"group_0 output_activations", "{\"num_bits\":8}",
       [](Json& q) {
         q["config_groups"]["group_0"]["output_activations"] = {{"num_bits", 8}};
       }},
      {"group_0 input_activations", "{\"num_bits\":8}",
       [](Json& q) {
         q["config_groups"]["group_0"]["input_activations"] = {{"num_bits", 8}};
       }},
      {"config_groups", "[]", top("config_groups", Json::array())},
      {"weight_zero_point", "no model.language_model.layers.0.self_attn.q_proj.weight_zero_point",
       weights("symmetric", false)},
      {"weight_packed", "weight_packed I32 [256, 32] (and 27 more)", weights("num_bits", 8)},
  };
  for (const Case& c : cases) {
    const fs::path folder = with_config(demo(), [&](Json& config) { c.change(config["quantization_config"]); });
    const auto failed = failures(folder, c.options);
    const auto is_it = [&](const LoaderCheck& check) {
      return check.what == c.what && check.found.find(c.found) != std::string::npos;
    };
    EXPECT_TRUE(std::any_of(failed.begin(), failed.end(), is_it)) << c.what << " " << c.found << ":\n" << text(failed);
    for (const LoaderCheck& check : failed) {
      EXPECT_FALSE(check.expected.empty() || check.advice.empty() || check.found.empty()) << check.what;
    }
  }
  const fs::path old = with_config(demo(), [](Json& config) {
    config["compression_config"] = config["quantization_config"];
    config.erase("quantization_config");
  });
  EXPECT_EQ(failures(old, {}).at(0).found, "the key compression_config");
}

TEST_F(LoaderChecks, NameWhatIsWrongInTheTensors) {
  struct Case {
    const char* what;
    const char* found;
    std::function<void(std::vector<StoredTensor>& tensors)> change;
  };
  const std::string q = "model.layers.0.self_attn.q_proj", up = "model.layers.1.mlp.up_proj";
  const auto part = [](std::vector<StoredTensor>& tensors, const std::string& name) -> StoredTensor& {
    return *std::find_if(tensors.begin(), tensors.end(), [&](const auto& t) { return t.spec.name == name; });
  };
  const auto drop = [&](const std::string& name) {
    return [=](std::vector<StoredTensor>& t) { std::erase_if(t, [&](const auto& x) { return x.spec.name == name; }); };
  };
  const auto as = [&](const std::string& name, DType dtype, Shape shape) {
    return [=](std::vector<StoredTensor>& t) {
      StoredTensor& tensor = part(t, name);
      tensor.bytes.resize(static_cast<size_t>(*element_count(shape)) * dtype_size(dtype));
      tensor.spec.dtype = dtype;
      tensor.spec.shape = shape;
    };
  };
  const auto add = [&](const std::string& name) {
    return [=](std::vector<StoredTensor>& t) { t.push_back(stored(name, DType::f32, {1}, std::vector<float>{1})); };
  };
  const Case cases[] = {
      {"weight_packed", "weight_packed I64 [64, 8]", as(q + ".weight_packed", DType::i64, {64, 8})},
      {"weight_packed", "weight_packed I32 [8, 64]", as(q + ".weight_packed", DType::i32, {8, 64})},
      {"weight_scale", "no model.layers.0.self_attn.q_proj.weight_scale", drop(q + ".weight_scale")},
      {"weight_scale", "weight_scale I32 [64, 4]", as(q + ".weight_scale", DType::i32, {64, 4})},
      {"weight_scale", "weight_scale F16 [64, 1]", as(q + ".weight_scale", DType::f16, {64, 1})},
      {"weight_shape", "no model.layers.1.mlp.up_proj.weight_shape", drop(up + ".weight_shape")},
      {"weight_shape", "weight_shape U8 [2]", as(up + ".weight_shape", DType::u8, {2})},
      {"weight_shape", "weight_shape [64, 48]",
       [&](std::vector<StoredTensor>& t) {
         part(t, up + ".weight_shape") = stored<int64_t>(up + ".weight_shape", DType::i64, {2}, {64, 48});
       }},
      {"weight_zero_point", "no model.layers.1.mlp.up_proj.weight_zero_point", drop(up + ".weight_zero_point")},
      {"columns", "weight_g_idx", add(q + ".weight_g_idx")},
      {"weight", "model.layers.0.self_attn.q_proj.weight", add(q + ".weight")},
      {"plain weights", "no model.norm.weight", drop("model.norm.weight")},
      {"plain weights", "lm_head.weight BF16 [64, 208]", as("lm_head.weight", DType::bf16, {64, 208})},
      {"plain weights", "model.norm.weight I32 [64]", as("model.norm.weight", DType::i32, {64})},
      {"no other tensors", "model.layers.0.extra", add("model.layers.0.extra")},
      {"targets and ignore", "q_proj is plain and not in ignore", drop(q + ".weight_packed")},
  };
  for (const Case& c : cases) {
    const auto failed = failures(with_tensors(c.change), kTransformers);
    ASSERT_FALSE(failed.empty()) << c.what;
    const auto is_it = [&](const LoaderCheck& check) {
      return check.what == c.what && check.found.find(c.found) != std::string::npos;
    };
    EXPECT_TRUE(std::any_of(failed.begin(), failed.end(), is_it)) << c.what << " " << c.found << ":\n" << text(failed);
  }
}

// The tiny model with weights and inputs of its projections in int8; the numbers do not matter.
Json int8_config(bool dynamic) {
  const Json weights = {{"num_bits", 8}, {"type", "int"}, {"symmetric", true}, {"strategy", "channel"}};
  const Json input = {{"num_bits", 8},
                      {"type", "int"},
                      {"symmetric", true},
                      {"strategy", dynamic ? "token" : "tensor"},
                      {"dynamic", dynamic}};
  return {
      {"quant_method", "compressed-tensors"},
      {"format", "int-quantized"},
      {"quantization_status", "compressed"},
      {"config_groups", {{"group_0", {{"targets", {"Linear"}}, {"weights", weights}, {"input_activations", input}}}}},
      {"ignore", {"lm_head"}}};
}

TEST_F(LoaderChecks, Int8HasItsOwnRequirements) {
  using Change = std::function<void(Json & quantization, std::vector<StoredTensor> & tensors)>;
  const auto found = [&](bool dynamic, const LoaderOptions& options, const Change& change) {
    Json quantization = int8_config(dynamic);
    const fs::path folder = with_tensors([&](std::vector<StoredTensor>& tensors) {
      tensors.clear();
      const checkpoint::SafetensorsFile file(test::data_dir() / "models" / "qwen3-untied" / "model.safetensors");
      for (const auto& entry : file.entries()) {
        const auto view = file.view(entry);
        tensors.push_back({{entry.name, entry.dtype, entry.shape}, {view.data, view.data + view.bytes}});
        if (!entry.name.ends_with("_proj.weight")) continue;
        const std::string module = entry.name.substr(0, entry.name.rfind('.'));
        tensors.back().spec.dtype = DType::i8;
        tensors.back().bytes.resize(static_cast<size_t>(*element_count(view.shape)));
        tensors.push_back(stored(module + ".weight_scale", DType::f32, {view.shape[0], 1},
                                 std::vector<float>(static_cast<size_t>(view.shape[0]), 1)));
        if (!dynamic) tensors.push_back(stored<float>(module + ".input_scale", DType::f32, {1}, {1}));
      }
      change(quantization, tensors);
    });
    Json config = read_json(folder / "config.json");
    config["quantization_config"] = quantization;
    write_file_atomically(folder / "config.json", to_text(config));
    std::string all;
    for (const LoaderCheck& check : failures(folder, options)) all += check.what + ": " + check.found + "\n";
    return all;
  };
  const auto nothing = [](Json&, std::vector<StoredTensor>&) {};
  const auto weights = [](const char* key, const Json& value) -> Change {
    return [=](Json& q, std::vector<StoredTensor>&) { q["config_groups"]["group_0"]["weights"][key] = value; };
  };
  const auto input = [](const char* key, const Json& value) -> Change {
    return
        [=](Json& q, std::vector<StoredTensor>&) { q["config_groups"]["group_0"]["input_activations"][key] = value; };
  };
  const auto drop = [](const std::string& part) -> Change {
    return [=](Json&, std::vector<StoredTensor>& tensors) {
      std::erase_if(tensors, [&](const auto& t) { return t.spec.name == "model.layers.0.mlp.up_proj" + part; });
    };
  };
  const auto add = [](const std::string& part) -> Change {
    return [=](Json&, std::vector<StoredTensor>& tensors) {
      tensors.push_back(stored<float>("model.layers.0.mlp.up_proj" + part, DType::f32, {1}, {1}));
    };
  };
  for (const bool dynamic : {false, true}) {
    EXPECT_EQ(found(dynamic, {}, nothing), "");
    EXPECT_EQ(found(dynamic, kTransformers, nothing), "");
  }
  EXPECT_EQ(found(true, {}, weights("num_bits", 4)), "group_0 bits: 4\n");
  EXPECT_EQ(found(true, {}, weights("symmetric", false)), "group_0 zero points: asymmetric weights\n");
  EXPECT_EQ(found(true, {}, weights("strategy", "tensor")), "group_0 strategy: tensor with group_size nothing\n");
  EXPECT_NE(found(true, {}, input("strategy", "tensor")).find("group_0 input_activations: "), std::string::npos);
  EXPECT_NE(found(false, {}, input("symmetric", false)).find("group_0 input_activations: "), std::string::npos);
  const Change without_inputs = [](Json& q, std::vector<StoredTensor>&) {
    q["config_groups"]["group_0"]["input_activations"] = nullptr;
  };
  EXPECT_EQ(found(true, {}, without_inputs), "group_0 input_activations: null\n");
  EXPECT_EQ(found(true, kTransformers, without_inputs), "");
  EXPECT_EQ(found(true, {}, drop(".weight_scale")), "weight_scale: no model.layers.0.mlp.up_proj.weight_scale\n");
  EXPECT_EQ(found(false, {}, drop(".input_scale")), "input_scale: no model.layers.0.mlp.up_proj.input_scale\n");
  EXPECT_EQ(found(true, {}, add(".input_scale")), "input_scale: model.layers.0.mlp.up_proj.input_scale\n");
  EXPECT_EQ(found(true, {}, add(".weight_zero_point")),
            "weight_zero_point: model.layers.0.mlp.up_proj.weight_zero_point\n");
  const Change transposed = [](Json&, std::vector<StoredTensor>& tensors) {
    for (StoredTensor& t : tensors) {
      if (t.spec.name == "model.layers.0.mlp.up_proj.weight") std::swap(t.spec.shape[0], t.spec.shape[1]);
    }
  };
  EXPECT_EQ(found(true, {}, transposed), "weight: model.layers.0.mlp.up_proj.weight I8 [64, 48]\n");
}

TEST_F(LoaderChecks, ATiedHeadMayBeThereTwiceIfItIsTheSame) {
  const fs::path from = test::data_dir() / "models" / "qwen3-tied";  // its lm_head.weight holds other numbers
  const auto failed = failures(from, kTransformers);
  ASSERT_EQ(failed.size(), 1u) << text(failed);
  EXPECT_EQ(failed[0].what + " " + failed[0].found, "no other tensors lm_head.weight");
  const test::TemporaryDir dir;
  fs::copy_file(from / "config.json", dir.path() / "config.json");
  const checkpoint::SafetensorsFile file(from / "model.safetensors");
  std::vector<StoredTensor> tensors;
  for (const auto& entry : file.entries()) {
    const auto view = entry.name == "lm_head.weight" ? *file.find("model.embed_tokens.weight") : file.view(entry);
    tensors.push_back({{entry.name, view.dtype, view.shape}, {view.data, view.data + view.bytes}});
  }
  test::write_tensors(dir.path() / "model.safetensors", tensors);
  EXPECT_EQ(text(failures(dir.path(), kTransformers)), "");
}

TEST_F(LoaderChecks, ShardsMustSuitTheKernels) {
  const auto first = [&](const fs::path& folder, const LoaderOptions& options) {
    const auto failed = failures(folder, options);
    return failed.empty() ? "" : failed[0].what + ": " + failed[0].found;
  };
  EXPECT_EQ(first(demo(), {.tensor_parallel = 4}),
            "extents of a shard: model.language_model.layers.0.self_attn.o_proj with [256, 64] on each device");
  EXPECT_EQ(first(demo(), {.tensor_parallel = 3}), "tensor parallel: 4 attention heads for 3 devices");
  EXPECT_EQ(first(tiny(), {.tensor_parallel = 1}), "group_0 group_size: 16");
  const auto failed = failures(demo(), {.tensor_parallel = 4});
  ASSERT_EQ(failed.size(), 2u) << text(failed);
  EXPECT_EQ(failed[1].what, "group of a shard");
}

TEST_F(LoaderChecks, RefuseWhatTheyDoNotKnow) {
  const fs::path awq = with_config(tiny(), [](Json& config) {
    config["quantization_config"] = {{"quant_method", "awq"}, {"bits", 4}, {"group_size", 16}};
  });
  const std::string what = test::error_of([&] { check_for_loader(awq, {}); });
  EXPECT_NE(what.find("only compressed-tensors is checked"), std::string::npos) << what;
  EXPECT_THROW(check_for_loader(awq / "nothing", {}), Error);
  const fs::path other = with_config(tiny(), [](Json& config) { config["model_type"] = "gpt2"; });
  EXPECT_NE(test::error_of([&] { check_for_loader(other, {}); }).find("gpt2"), std::string::npos);
}

}  // namespace
}  // namespace duan::inspect
