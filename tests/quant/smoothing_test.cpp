#include "quant/smoothing.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <random>

#include "engine/inputs.h"
#include "ir/builder.h"
#include "ir/subgraph.h"
#include "models/model.h"
#include "models/registry.h"
#include "quant/awq.h"
#include "quant/modules.h"
#include "support/models.h"

namespace duan::quant {
namespace {

using ir::B;
using ir::Graph;
using ir::Scope;
using ir::T;
using ir::Value;

checkpoint::ModelConfig config_of(const std::string& model) {
  checkpoint::ModelConfig config = checkpoint::read_config(test::data_dir() / "models" / model);
  config.num_hidden_layers = 1;
  return config;
}

std::string found_in(const checkpoint::ModelConfig& config) {
  const Graph graph = models::build_graph(config);
  return print(graph, find_smoothing(graph));
}

TEST(Smoothing, FindsThePairsOfQwen3AndSaysWhyNotTheOthers) {
  EXPECT_EQ(found_in(config_of("qwen3-tied")),
            "model.layers.0.input_layernorm -> model.layers.0.self_attn.q_proj, model.layers.0.self_attn.k_proj, "
            "model.layers.0.self_attn.v_proj\n"
            "model.layers.0.post_attention_layernorm -> model.layers.0.mlp.gate_proj, model.layers.0.mlp.up_proj\n"
            "model.layers.0.mlp.up_proj -> model.layers.0.mlp.down_proj\n"
            "not model.layers.0.self_attn.v_proj -> model.layers.0.self_attn.o_proj: 4 query heads share 2 key/value "
            "heads: 64 channels would be divided for 128 columns\n"
            "not model.norm -> model.embed_tokens.linear: model.embed_tokens.weight is the weight of "
            "model.embed_tokens, too\n");
}

TEST(Smoothing, PairsValuesWithOutputsWhereEveryHeadHasItsOwn) {
  checkpoint::ModelConfig config = config_of("qwen3-untied");
  config.num_key_value_heads = config.num_attention_heads;
  const std::string found = found_in(config);
  EXPECT_NE(found.find("\nmodel.layers.0.self_attn.v_proj -> model.layers.0.self_attn.o_proj\n"), std::string::npos);
  EXPECT_NE(found.find("\nmodel.norm -> lm_head\n"), std::string::npos);
  EXPECT_EQ(found.find("not "), std::string::npos) << found;
}

TEST(Smoothing, PairsSharedValuesWithOutputsOnRequest) {
  const Graph graph = models::build_graph(config_of("qwen3-tied"));
  const Smoothing smoothing = find_smoothing(graph, true);
  EXPECT_NE(print(graph, smoothing).find("\nmodel.layers.0.self_attn.v_proj -> model.layers.0.self_attn.o_proj\n"),
            std::string::npos);
  ASSERT_EQ(smoothing.pairs.size(), 4u);
  // 4 query heads of 32 numbers read 2 heads of values.
  const SmoothingPair& pair = smoothing.pairs[1];
  EXPECT_EQ(pair.sharing, 2);
  EXPECT_EQ(pair.head_dim, 32);
  EXPECT_EQ(smoothing.pairs[0].sharing, 1);
  std::vector<float> scales(128);
  for (size_t c = 0; c < scales.size(); ++c) scales[c] = static_cast<float>(c);
  const std::vector<float> shared = pair.shared(scales), own = pair.of_producer(shared);
  ASSERT_EQ(own.size(), 64u);
  EXPECT_EQ(shared[0], 16);  // of heads 0 and 1
  EXPECT_EQ(shared[32], 16);
  EXPECT_EQ(shared[64 + 5], 64 + 16 + 5);  // of heads 2 and 3
  EXPECT_EQ(shared[96 + 5], 64 + 16 + 5);
  EXPECT_EQ(own[0], 16);
  EXPECT_EQ(own[32 + 5], 64 + 16 + 5);
}

TEST(Smoothing, ScalesThatHeadsShareCancel) {
  const models::Model model = models::Model::open(test::data_dir() / "models" / "qwen3-tied");
  const Block block = find_blocks(model.graph).at(1);
  const Graph attention = ir::subgraph(model.graph, block.first, block.last);
  const Smoothing smoothing = find_smoothing(model.graph, true);
  const auto pair =
      std::find_if(smoothing.pairs.begin(), smoothing.pairs.end(), [](const auto& p) { return p.sharing > 1; });
  ASSERT_NE(pair, smoothing.pairs.end());
  const auto weight_of = [&](ir::NodeId id) {
    return model.graph.weight(std::get<ir::Linear>(model.graph.node(id).op).weight).name;
  };
  const std::string v = weight_of(pair->producer), o = weight_of(pair->consumers.front());

  std::mt19937 random(3);
  Sequences rows{64, std::vector<float>(12 * 64), {12}};
  for (float& value : rows.values) value = std::normal_distribution<float>()(random);
  const engine::WeightSource weights = engine::weights_of(model.checkpoint);
  const auto run = [&](const std::vector<float>& scales) {
    std::map<std::string, std::vector<float>> scaled;
    const engine::WeightSource source = [&](const std::string& name, const Shape& shape) {
      if (scales.empty() || (name != v && name != o)) return weights(name, shape);
      const Adjustment adjustment = name == v ? Adjustment{pair->of_producer(scales), {}} : Adjustment{{}, scales};
      const SourceMatrix matrix(model.checkpoint, name, shape);
      std::vector<float>& values = scaled[name];
      values.resize(static_cast<size_t>(shape[0] * shape[1]));
      matrix.read(0, shape[0], adjustment, values.data());
      return Weight{name, shape, Dense{DType::f32, reinterpret_cast<const std::byte*>(values.data())}};
    };
    return run_sequences(attention, source, rows, 1).values;
  };
  std::vector<float> scales(128);
  for (float& scale : scales) scale = std::exp(std::normal_distribution<float>()(random));
  const std::vector<float> expected = run({}), found = run(pair->shared(scales)), wrong = run(scales);
  float most = 0, difference = 0, unshared = 0;
  for (size_t i = 0; i < expected.size(); ++i) {
    most = std::max(most, std::abs(expected[i]));
    difference = std::max(difference, std::abs(found[i] - expected[i]));
    unshared = std::max(unshared, std::abs(wrong[i] - expected[i]));
  }
  EXPECT_LE(difference, 1e-5f * most);
  EXPECT_GT(difference, 0);
  EXPECT_GT(unshared, 1e-3f * most);  // what the heads share is what makes them cancel
}

TEST(Smoothing, BiasesDoNotStandInTheWay) {
  const Graph graph = models::build_graph(config_of("qwen2"));
  const Smoothing smoothing = find_smoothing(graph);
  ASSERT_GE(smoothing.pairs.size(), 3u);
  EXPECT_EQ(smoothing.pairs[0].consumers.size(), 3u);
  EXPECT_EQ(graph.node(smoothing.pairs[0].consumers[2]).name, "model.layers.0.self_attn.v_proj");
}

TEST(Smoothing, EveryLinearOfEveryModelIsInOneOfTheLists) {
  for (const auto& folder : test::tiny_models()) {
    const models::Model model = models::Model::open(folder);
    const Smoothing smoothing = find_smoothing(model.graph);
    std::vector<ir::NodeId> seen;
    for (const SmoothingPair& pair : smoothing.pairs) {
      seen.insert(seen.end(), pair.consumers.begin(), pair.consumers.end());
      for (const ir::NodeId id : pair.consumers) EXPECT_EQ(model.graph.node(id).inputs[0], pair.value);
    }
    for (const SmoothingRefusal& refusal : smoothing.refused) {
      EXPECT_NE(refusal.reason, "");
      seen.insert(seen.end(), refusal.consumers.begin(), refusal.consumers.end());
    }
    std::sort(seen.begin(), seen.end());
    std::vector<ir::NodeId> linears;
    for (ir::NodeId id = 0; id < static_cast<ir::NodeId>(model.graph.nodes.size()); ++id) {
      if (std::holds_alternative<ir::Linear>(model.graph.node(id).op)) linears.push_back(id);
    }
    EXPECT_EQ(seen, linears);
  }
}

// A graph with activations x [batch, tokens, 8] from an embedding and their norm n.
struct Start {
  Graph graph{.name = "test"};
  Value ids = input(graph, "ids", DType::i64, {B, T});
  Value x = embed(Scope(graph) / "x", ids, 16, 8);
  Value n = rms_norm(Scope(graph) / "n", x, 1e-6);

  Value to(const char* name, Value from, int64_t out = 8) { return linear(Scope(graph) / name, from, out); }
  std::string found() const {
    ir::verify(graph);
    return print(graph, find_smoothing(graph));
  }
};

TEST(Smoothing, RefusesAValueThatOthersRead) {
  Start start;
  output(start.to("a", start.n) + start.n);
  EXPECT_EQ(start.found(), "not n -> a: n is read by n.add, too\n");
}

TEST(Smoothing, RefusesAnOutputOfTheGraph) {
  Start start;
  output(start.to("a", start.n));
  output(start.n);
  EXPECT_EQ(start.found(), "not n -> a: n is an output of the graph\n");
}

TEST(Smoothing, RefusesWhatIsNotLinear) {
  Start start;
  output(start.to("b", silu(start.to("a", start.n))));
  EXPECT_EQ(start.found(), "n -> a\nnot a.silu -> b: a.silu (Silu) is not linear\n");
}

TEST(Smoothing, RefusesSumsSquaresAndTables) {
  Start start;
  const Value a = start.to("a", start.n);
  const Value c = start.to("c", a * a);
  const Value d = start.to("d", start.x + c);
  output(d);
  EXPECT_EQ(start.found(),
            "n -> a\n"
            "not a.mul -> c: a.mul (Mul) is a square\n"
            "not c.add -> d: c.add (Add) is a sum: both summands would have to be divided\n");
  Start table;
  output(table.to("a", table.x));
  EXPECT_EQ(table.found().substr(0, 60), "not x -> a: x is read by n, too\n");
}

TEST(Smoothing, RefusesANormPerHead) {
  Start start;
  const Value heads = rms_norm(Scope(start.graph) / "per_head", split_heads(start.n, 2), 1e-6);
  output(linear(Scope(start.graph) / "a", heads, 4));
  EXPECT_EQ(start.found(), "not per_head -> a: per_head (RmsNorm) has one weight for all heads\n");
}

TEST(Smoothing, RefusesAWeightWithASecondReader) {
  Start start;
  const Value once = start.to("a", start.n);
  Value again = once;
  again = rms_norm(Scope(start.graph) / "m", once, 1e-6);
  output(linear(Scope(start.graph) / "a", again, 8));
  EXPECT_EQ(start.found(),
            "not n -> a: a.weight is the weight of a.linear, too\n"
            "not m -> a.linear: a.weight is the weight of a, too\n");
}

TEST(Smoothing, TakesTheFactorThatCanBeDivided) {
  Start start;
  const Value gate = silu(start.to("gate", start.n)), up = start.to("up", start.n);
  output(start.to("down", up * gate));
  EXPECT_EQ(start.found(), "n -> gate, up\nup -> down\n");
}

TEST(Smoothing, SaysWhyNeitherFactorCanBeDivided) {
  Start start;
  const Value gate = silu(start.to("gate", start.n)), up = silu(start.to("up", start.n));
  output(start.to("down", gate * up));
  EXPECT_NE(start.found().find("neither factor of up.silu.mul can be divided: gate.silu (Silu) is not linear; up.silu "
                               "(Silu) is not linear"),
            std::string::npos)
      << start.found();
}

}  // namespace
}  // namespace duan::quant
