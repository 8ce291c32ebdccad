#include "quant/modules.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "support/models.h"

namespace duan::quant {
namespace {

models::Model model_named(const char* name) { return models::Model::open(test::data_dir() / "models" / name); }

std::vector<Module> modules_of(const models::Model& model, const Recipe& recipe) {
  return find_modules(model, find_blocks(model.graph), recipe);
}

std::vector<std::string> quantized(const std::vector<Module>& modules) {
  std::vector<std::string> names;
  for (const Module& module : modules) {
    if (module.kept.empty()) names.push_back(module.name);
  }
  return names;
}

std::string error_of(const models::Model& model, const Recipe& recipe) {
  try {
    modules_of(model, recipe);
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}

TEST(Modules, BlocksAreTheEmbeddingHalvesOfLayersAndTheHead) {
  const models::Model model = model_named("qwen3-untied");
  const std::vector<Block> blocks = find_blocks(model.graph);
  ASSERT_EQ(blocks.size(), 2 + 2 * static_cast<size_t>(model.config.num_hidden_layers));
  EXPECT_EQ(blocks[0].name, "model.embed_tokens");
  EXPECT_EQ(blocks[1].name, "model.layers.0.self_attn");
  EXPECT_EQ(blocks[2].name, "model.layers.0.mlp");
  EXPECT_EQ(blocks.back().name, "lm_head");
}

TEST(Modules, EveryMatrixIsOne) {
  for (const auto& folder : test::tiny_models()) {
    const models::Model model = models::Model::open(folder);
    const std::vector<Module> modules = modules_of(model, {});
    const bool tied = model.config.tie_word_embeddings;
    EXPECT_EQ(modules.size(), static_cast<size_t>(7 * model.config.num_hidden_layers) + (tied ? 1 : 2)) << folder;
    EXPECT_EQ(quantized(modules).size(), modules.size());
    EXPECT_EQ(modules[0].tied(), tied);
    EXPECT_EQ(modules[0].block, tied ? find_blocks(model.graph).size() - 1 : 0);
  }
}

TEST(Modules, RtnLeavesTheEndsUnlessToldOtherwise) {
  Recipe recipe{.method = Method::rtn, .weights = {.bits = 4, .group_size = 16}};
  const models::Model untied = model_named("qwen3-untied");
  EXPECT_EQ(quantized(modules_of(untied, recipe)).size(), static_cast<size_t>(7 * untied.config.num_hidden_layers));
  recipe.include = {"lm_head"};
  EXPECT_EQ(quantized(modules_of(untied, recipe)).back(), "lm_head");
  const models::Model tied = model_named("qwen3-tied");
  EXPECT_EQ(quantized(modules_of(tied, recipe)).front(), "model.embed_tokens");
}

TEST(Modules, KeepsWhatMatchesAnywhere) {
  const models::Model model = model_named("qwen3-tied");
  const std::vector<Module> modules = modules_of(model, {.keep = {"q_proj", R"(layers\.1\.mlp)", "^lm_head$"}});
  for (const Module& module : modules) {
    const bool expected = module.name.find("q_proj") != std::string::npos ||
                          module.name.find("layers.1.mlp") != std::string::npos || module.tied();
    EXPECT_EQ(!module.kept.empty(), expected) << module.name;
    EXPECT_TRUE(module.kept.empty() || module.kept.starts_with("--keep ")) << module.kept;
  }
}

TEST(Modules, AnIgnoreListOfLlmCompressorMeansTheSame) {
  const models::Model model = models::Model::open(test::source_dir() / "models" / "demo");
  // What is never quantized may be named; "re:" is matched from the name's beginning.
  const auto modules = modules_of(model, {.keep = {"lm_head", "re:.*visual.*", "re:.*layers.0.mlp"}});
  for (const Module& module : modules) {
    EXPECT_EQ(!module.kept.empty(), module.tied() || module.name.find("layers.0.mlp") != std::string::npos);
  }
  EXPECT_NE(error_of(model, {.keep = {"re:layers"}}).find("\"re:layers\" matches no module"), std::string::npos);
  EXPECT_NE(error_of(model, {.keep = {"re:("}}).find("not a regular expression"), std::string::npos);
}

TEST(Modules, RefusesWhatMakesNoSense) {
  const models::Model model = model_named("llama3");
  EXPECT_NE(error_of(model, {.keep = {"q_prj"}}).find("--keep: \"q_prj\" matches no module"), std::string::npos);
  EXPECT_NE(error_of(model, {.keep = {"("}}).find("not a regular expression"), std::string::npos);
  EXPECT_NE(error_of(model, {.keep = {"a)|(b"}}).find("not a regular expression"), std::string::npos);
  EXPECT_NE(error_of(model, {.keep = {"."}}).find("nothing is left"), std::string::npos);
  const Recipe rtn{.method = Method::rtn, .weights = {.bits = 4, .group_size = 48}};
  EXPECT_NE(error_of(model, rtn).find("not a multiple of the group size 48"), std::string::npos);
}

}  // namespace
}  // namespace duan::quant
