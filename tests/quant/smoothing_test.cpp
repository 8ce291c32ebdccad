#include "quant/smoothing.h"

#include <gtest/gtest.h>

#include "ir/builder.h"
#include "models/model.h"
#include "models/registry.h"
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
