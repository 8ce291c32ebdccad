#include "models/registry.h"

#include <gtest/gtest.h>

#include <set>

#include "base/error.h"
#include "support/models.h"

namespace duan::models {
namespace {

TEST(Registry, EveryArchitectureHasATinyModelThatBuilds) {
  std::set<std::string> built;
  for (const auto& folder : test::tiny_models()) {
    const checkpoint::ModelConfig config = checkpoint::read_config(folder);
    const ir::Graph graph = build_graph(config);
    built.insert(config.model_type);
    EXPECT_EQ(ir::width(graph.value(graph.outputs.at(0)).type), config.vocab_size);
    EXPECT_EQ(graph.name, config.model_type);
    EXPECT_FALSE(build_vision_graph(config));
  }
  const checkpoint::ModelConfig sees = checkpoint::read_config(test::data_dir() / "vl" / "qwen3-vl");
  EXPECT_EQ(build_graph(sees).name, "qwen3_vl_text");
  EXPECT_EQ(build_vision_graph(sees)->outputs.size(), 1 + sees.vision->deepstack_visual_indexes.size());
  built.insert(sees.model_type);
  for (const Architecture& architecture : architectures()) {
    EXPECT_TRUE(built.contains(std::string(architecture.model_type))) << architecture.model_type;
  }
}

TEST(Registry, NamesTheArchitecturesItKnowsWhenOneIsUnknown) {
  checkpoint::ModelConfig config = checkpoint::read_config(test::tiny_models().front());
  config.model_type = "gpt2";
  try {
    build_graph(config);
    FAIL();
  } catch (const Error& e) {
    EXPECT_STREQ(e.what(), "model_type \"gpt2\" is not supported, only qwen3, qwen2, llama, qwen3_vl");
  }
}

TEST(Registry, ExtentsThatDoNotFitAreErrors) {
  checkpoint::ModelConfig config = checkpoint::read_config(test::data_dir() / "models" / "qwen3-tied");
  config.num_key_value_heads = 3;
  EXPECT_THROW(build_graph(config), Error);
}

}  // namespace
}  // namespace duan::models
