#include "engine/fusion.h"

#include <gtest/gtest.h>

#include "ir/builder.h"
#include "models/model.h"
#include "support/models.h"

namespace duan::engine {
namespace {

TEST(Fusion, FindsEveryPatternOfEveryLayer) {
  for (const auto& folder : test::tiny_models()) {
    const models::Model model = models::Model::open(folder);
    const auto layers = static_cast<size_t>(model.config.num_hidden_layers);
    const Fusions fusions = find_fusions(model.graph, {});
    EXPECT_EQ(fusions.gate_up.size(), layers) << folder;
    EXPECT_EQ(fusions.residual.size(), 2 * layers) << folder;
    EXPECT_EQ(fusions.norm_rope.size(), layers) << folder;
    EXPECT_EQ(fusions.shared_input.size(), layers) << folder;
    for (const auto& [first, group] : fusions.shared_input) EXPECT_EQ(group.size(), 3u) << folder;
  }
}

TEST(Fusion, TurnsOffByName) {
  const models::Model model = models::Model::open(test::tiny_models()[0]);
  EXPECT_TRUE(find_fusions(model.graph, {"gate_up"}).gate_up.empty());
  EXPECT_TRUE(find_fusions(model.graph, {"residual"}).residual.empty());
  EXPECT_TRUE(find_fusions(model.graph, {"norm_rope"}).norm_rope.empty());
  const Fusions none = find_fusions(model.graph, {"all"});
  EXPECT_TRUE(none.absorbed.empty());
}

TEST(Fusion, DoesNotAccumulateIntoAValueReadLater) {
  using namespace ir;
  Graph g{.name = "test"};
  const Value ids = input(g, "input_ids", DType::i64, {B, T});
  const Value x = embed(Scope(g) / "embed", ids, 10, 8);
  const Value y = x + linear(Scope(g) / "a", rms_norm(Scope(g) / "norm", x, 1e-6), 8);
  output(linear(Scope(g) / "head", y + x, 10));  // x is read again after the sum
  verify(g);
  EXPECT_TRUE(find_fusions(g, {}).residual.empty());
}

TEST(Fusion, DoesNotAbsorbAValueThatIsReadTwice) {
  using namespace ir;
  Graph g{.name = "test"};
  const Value ids = input(g, "input_ids", DType::i64, {B, T});
  const Value x = embed(Scope(g) / "embed", ids, 10, 8);
  const Value gate = linear(Scope(g) / "gate", x, 8), up = linear(Scope(g) / "up", x, 8);
  output(linear(Scope(g) / "head", silu(gate) * up + gate, 10));
  verify(g);
  EXPECT_TRUE(find_fusions(g, {}).gate_up.empty());
}

}  // namespace
}  // namespace duan::engine
