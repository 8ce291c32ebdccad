#include <fmt/format.h>
#include <fmt/ranges.h>

#include "ir/graph.h"

namespace duan::ir {
namespace {

std::string rope_text(const duan::Rope& rope) {
  struct Scaling {
    std::string operator()(const DefaultRope&) { return ""; }
    std::string operator()(const YarnRope& s) {
      return fmt::format(" yarn(factor {}, original {}, beta {} {}, attention {})", s.factor, s.original_positions,
                         s.beta_fast, s.beta_slow, s.attention_factor);
    }
    std::string operator()(const Llama3Rope& s) {
      return fmt::format(" llama3(factor {}, low {}, high {}, original {})", s.factor, s.low_freq_factor,
                         s.high_freq_factor, s.original_positions);
    }
  };
  struct Axes {
    std::string operator()(const OneAxis&) { return ""; }
    std::string operator()(const InterleavedAxes& a) {
      return fmt::format(" interleaved {}", fmt::join(a.sections, " "));
    }
    std::string operator()(const HalvedAxes&) { return " halves"; }
  };
  return fmt::format("theta {}{}{}", rope.theta, std::visit(Scaling{}, rope.scaling), std::visit(Axes{}, rope.axes));
}

// Attributes of the op, weights by name.
std::string attributes(const Graph& graph, const Op& op) {
  struct Attributes {
    const Graph& graph;
    std::string weight(WeightId id) const { return graph.weight(id).name + duan::to_string(graph.weight(id).shape); }
    std::string operator()(const Embed& o) const { return weight(o.weight); }
    std::string operator()(const BlendRows& o) const { return weight(o.weight); }
    std::string operator()(const PutRows&) const { return ""; }
    std::string operator()(const Linear& o) const {
      return o.bias ? weight(o.weight) + ", " + weight(*o.bias) : weight(o.weight);
    }
    std::string operator()(const RmsNorm& o) const { return fmt::format("{}, eps {}", weight(o.weight), o.eps); }
    std::string operator()(const LayerNorm& o) const {
      return fmt::format("{}, {}, eps {}", weight(o.weight), weight(o.bias), o.eps);
    }
    std::string operator()(const Add&) const { return ""; }
    std::string operator()(const Mul&) const { return ""; }
    std::string operator()(const Silu&) const { return ""; }
    std::string operator()(const Gelu& o) const { return o.form == GeluForm::tanh ? "tanh" : "erf"; }
    std::string operator()(const Angles& o) const { return rope_text(o.rope); }
    std::string operator()(const Rope&) const { return ""; }
    std::string operator()(const Attention& o) const {
      const std::string cache = o.cache == kNoCache ? "" : fmt::format(", cache {}", o.cache);
      return fmt::format("scale {:.9g}{}{}", o.scale, o.causal ? ", causal" : "", cache);
    }
    std::string operator()(const Reshape&) const { return ""; }
    std::string operator()(const Slice& o) const { return fmt::format("from {}", o.first); }
    std::string operator()(const MergeRows&) const { return ""; }
  };
  return std::visit(Attributes{graph}, op);
}

std::string type_text(const ValueType& type) {
  return fmt::format("{}{}", type.dtype == DType::i64 ? "i64" : "f32", to_string(type.dims));
}

}  // namespace

std::string print(const Graph& graph) {
  std::string out = fmt::format("graph {}\n", graph.name);
  for (const ValueId id : graph.inputs) {
    out += fmt::format("input {} {}\n", graph.value(id).name, type_text(graph.value(id).type));
  }
  for (const Node& node : graph.nodes) {
    std::vector<std::string_view> inputs;
    for (const ValueId id : node.inputs) inputs.push_back(graph.value(id).name);
    const std::string attribute_text = attributes(graph, node.op);
    out += fmt::format("{} {} = {}({}){}{}\n", node.name, type_text(graph.value(node.output).type), op_name(node.op),
                       fmt::join(inputs, ", "), attribute_text.empty() ? "" : " ", attribute_text);
  }
  for (const ValueId id : graph.outputs) out += fmt::format("output {}\n", graph.value(id).name);
  return out;
}

}  // namespace duan::ir
