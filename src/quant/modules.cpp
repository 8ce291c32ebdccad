#include "quant/modules.h"

#include <algorithm>
#include <map>

#include "base/error.h"
#include "base/regex.h"
#include "ir/subgraph.h"

namespace duan::quant {
namespace {

constexpr std::string_view kWeight = ".weight";

class Patterns {
 public:
  Patterns(const std::vector<std::string>& patterns, const std::string& flag) : flag_(flag) {
    for (const std::string& pattern : patterns) {
      // As llm-compressor writes its ignore lists: from the name's beginning.
      const bool anchored = pattern.starts_with("re:");
      const std::string expression = anchored ? pattern.substr(3) : pattern;
      Regex(expression, flag);  // must be one by itself
      patterns_.push_back({Regex((anchored ? "(?:" : "(?s:.*?)(?:") + expression + ")", flag), pattern, false});
    }
  }

  // The pattern found in the module's name, or "".
  std::string match(const Module& module) {
    std::string found;
    for (Pattern& pattern : patterns_) {
      if (!pattern.regex.matches_start(module.name) && !(module.tied() && pattern.regex.matches_start(kHead))) continue;
      pattern.used = true;
      if (found.empty()) found = pattern.text;
    }
    return found;
  }

  // A name beside the modules: what is never quantized may be named all the same.
  void match_other(const std::string& name) {
    for (Pattern& pattern : patterns_) pattern.used = pattern.used || pattern.regex.matches_start(name);
  }

  void check_all_used(const std::vector<Module>& modules) const {
    for (const Pattern& pattern : patterns_) {
      if (pattern.used) continue;
      throw Error(fmt::format("\"{}\" matches no module", printable(pattern.text)), flag_,
                  fmt::format("modules are named like {}", modules.front().name));
    }
  }

 private:
  struct Pattern {
    Regex regex;
    std::string text;
    bool used;
  };
  std::string flag_;
  std::vector<Pattern> patterns_;
};

void check_divides(const Module& module, const Recipe& recipe) {
  if (!recipe.packed()) return;
  const int64_t columns = module.shape[1], group = recipe.weights.group_size;
  if (group > 0 && columns % group != 0) {
    throw Error(
        fmt::format("{} has rows of {} numbers: not a multiple of the group size {}", module.name, columns, group),
        "--group-size", "choose one that divides it, -1 for one scale a row, or --keep the module");
  }
  if (columns * recipe.weights.bits % 32 != 0) {
    throw Error(fmt::format("{} has rows of {} codes of {} bits: not whole 32-bit words", module.name, columns,
                            recipe.weights.bits),
                "--bits", "--keep the module");
  }
}

}  // namespace

std::vector<Block> find_blocks(const ir::Graph& graph) {
  const std::vector<ir::NodeId> cuts = ir::cut_points(graph);
  std::vector<Block> blocks;
  for (size_t i = 0; i + 1 < cuts.size(); ++i) {
    Block block{cuts[i], cuts[i + 1], ""};
    for (ir::NodeId id = block.first; id < block.last; ++id) {
      // The first linear layer, or table, without its own part of the name.
      const ir::Op& op = graph.node(id).op;
      if (!block.name.empty() || (!std::holds_alternative<ir::Linear>(op) && !std::holds_alternative<ir::Embed>(op)))
        continue;
      const std::string& name = graph.node(id).name;
      const size_t dot = name.rfind('.');
      const bool is_inner = std::holds_alternative<ir::Linear>(op) && i + 2 < cuts.size();
      block.name = is_inner && dot != std::string::npos ? name.substr(0, dot) : name;
    }
    blocks.push_back(std::move(block));
  }
  return blocks;
}

std::vector<Module> find_modules(const models::Model& model, const std::vector<Block>& blocks, const Recipe& recipe) {
  if (model.config.quantization) {
    throw Error("is quantized already", model.folder.string(), "quantize the checkpoint it was made from");
  }
  const ir::Graph& graph = model.graph;
  std::vector<Module> modules;
  std::map<ir::WeightId, size_t> known;
  for (size_t block = 0; block < blocks.size(); ++block) {
    for (ir::NodeId id = blocks[block].first; id < blocks[block].last; ++id) {
      const auto* linear = std::get_if<ir::Linear>(&graph.node(id).op);
      const auto* embed = std::get_if<ir::Embed>(&graph.node(id).op);
      if (linear == nullptr && embed == nullptr) continue;
      const ir::WeightId weight = linear != nullptr ? linear->weight : embed->weight;
      const auto [at, is_new] = known.emplace(weight, modules.size());
      if (is_new) {
        const ir::WeightInfo& info = graph.weight(weight);
        DUAN_CHECK(info.name.ends_with(kWeight), "a matrix named {}", info.name);
        const auto dtype = std::get<Dense>(model.checkpoint.weight(info.name, info.shape).format).dtype;
        modules.push_back({.name = info.name.substr(0, info.name.size() - kWeight.size()),
                           .weight = info.name,
                           .shape = info.shape,
                           .dtype = dtype});
      }
      Module& module = modules[at->second];
      module.block = block;
      if (embed != nullptr) module.embedding = true;
      if (linear != nullptr) module.linear = id;
    }
  }

  Patterns keep(recipe.keep, "--keep"), include(recipe.include, "--include");
  for (Module& module : modules) {
    const bool is_end = module.embedding || module.block + 1 == blocks.size();
    const bool is_included = !include.match(module).empty();
    if (recipe.packed() && is_end && !is_included) {
      module.kept = fmt::format("{} leaves the embedding and the head", method_name(recipe.method));
    }
    if (const std::string pattern = keep.match(module); !pattern.empty()) module.kept = "--keep " + pattern;
  }
  for (const ir::WeightInfo& weight : model.vision ? model.vision->weights : std::vector<ir::WeightInfo>{}) {
    keep.match_other(weight.name.substr(0, weight.name.rfind('.')));
  }
  keep.check_all_used(modules);
  include.check_all_used(modules);
  if (std::all_of(modules.begin(), modules.end(), [](const Module& m) { return !m.kept.empty(); })) {
    throw Error("nothing is left to quantize", "--keep");
  }
  for (const Module& module : modules) {
    if (module.kept.empty()) check_divides(module, recipe);
  }
  return modules;
}

const Module* module_of(const std::vector<Module>& modules, ir::NodeId linear) {
  for (const Module& module : modules) {
    if (module.linear == linear) return &module;
  }
  return nullptr;
}

}  // namespace duan::quant
