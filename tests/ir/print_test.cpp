// The graph of every tiny model against the text kept in tests/data/ir. After a change that means to alter graphs:
//   for m in tests/data/models/*/ tests/data/vl/*/; do duan inspect $m --graph > tests/data/ir/$(basename $m).ir; done
#include <gtest/gtest.h>

#include <functional>
#include <vector>

#include "base/json.h"
#include "ir/graph.h"
#include "models/registry.h"
#include "support/models.h"

namespace duan::ir {
namespace {

TEST(Print, GivesTheGoldenTextOfEveryTinyModel) {
  const auto folders = test::tiny_models();
  ASSERT_FALSE(folders.empty());
  for (const auto& folder : folders) {
    const auto golden = test::data_dir() / "ir" / (folder.filename().string() + ".ir");
    EXPECT_EQ(print(models::build_graph(checkpoint::read_config(folder))), read_file(golden)) << golden;
  }
}

TEST(Print, GivesTheGoldenTextOfADecoderThatSeesImagesAndOfItsTower) {
  const auto config = checkpoint::read_config(test::data_dir() / "vl" / "qwen3-vl");
  EXPECT_EQ(print(models::build_graph(config)) + "\n" + print(*models::build_vision_graph(config)),
            read_file(test::data_dir() / "ir" / "qwen3-vl.ir"));
}

TEST(Print, GivesEqualTextForEqualGraphs) {
  for (const auto& folder : test::tiny_models()) {
    const auto config = checkpoint::read_config(folder);
    EXPECT_EQ(print(models::build_graph(config)), print(models::build_graph(config)));
  }
}

TEST(Print, ShowsEveryAttributeOfTheConfig) {
  checkpoint::ModelConfig config = checkpoint::read_config(test::tiny_models().front());
  const std::string before = print(models::build_graph(config));
  for (const auto& change : std::vector<std::function<void(checkpoint::ModelConfig&)>>{
           [](auto& c) { c.rms_norm_eps *= 2; }, [](auto& c) { c.rope.theta *= 2; },
           [](auto& c) {
             c.rope.scaling = YarnRope{4, 128, 32, 1, 1};
           },
           [](auto& c) { c.intermediate_size += 8; }, [](auto& c) { c.num_hidden_layers += 1; },
           [](auto& c) { c.tie_word_embeddings ^= true; }}) {
    checkpoint::ModelConfig changed = config;
    change(changed);
    EXPECT_NE(print(models::build_graph(changed)), before);
  }
}

}  // namespace
}  // namespace duan::ir
