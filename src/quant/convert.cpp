#include "quant/convert.h"

#include <algorithm>
#include <array>
#include <map>
#include <memory>
#include <optional>
#include <set>

#include "base/error.h"
#include "checkpoint/awq_gptq_weight.h"
#include "quant/quantized_checkpoint.h"

namespace duan::quant {
namespace {
namespace fs = std::filesystem;

using checkpoint::ByteSink;
using checkpoint::RepackedWeight;
using checkpoint::TensorInfo;
using checkpoint::TransposedWeight;

constexpr std::string_view kCodes = ".qweight";
constexpr std::array<std::string_view, 3> kBesideCodes{".qzeros", ".scales", ".g_idx"};

std::string module_of(const std::string& tensor, std::string_view part) {
  return tensor.ends_with(part) ? tensor.substr(0, tensor.size() - part.size()) : "";
}

// A source whose weights pack-quantized can hold as they are.
const checkpoint::QuantizationConfig& convertible(const models::Model& model) {
  const std::string folder = model.folder.string();
  if (!model.config.quantization) {
    throw Error("is not quantized", folder, "duan quantize rounds its weights; convert only rewrites rounded ones");
  }
  const checkpoint::QuantizationConfig& config = *model.config.quantization;
  if (config.is_transposed()) return config;
  for (const checkpoint::QuantizationScheme& scheme : config.schemes) {
    if (scheme.input != InputRounding::none) {
      throw Error("rounds the inputs of its layers to int8, which pack-quantized has no place for", folder,
                  "use it as it is");
    }
    if (!scheme.packed) throw Error("is int-quantized, which is not rewritten", folder, "use it as it is");
  }
  throw Error("is compressed-tensors pack-quantized already", folder, "use it as it is");
}

// The numbers of a module, made when the first of its tensors is written and gone with the last.
class Numbers {
 public:
  Numbers(const models::Model& model, TransposedWeight stored) : model_(model), stored_(std::move(stored)) {}

  const RepackedWeight& get() {
    if (!numbers_) {
      numbers_ = checkpoint::repack(stored_);
      for (const auto& part : {stored_.qweight, stored_.qzeros, stored_.scales}) {
        model_.checkpoint.release({part.data, part.bytes});
      }
    }
    return *numbers_;
  }
  void drop() { numbers_.reset(); }

 private:
  const models::Model& model_;
  TransposedWeight stored_;
  std::optional<RepackedWeight> numbers_;
};

class Repacking {
 public:
  Repacking(const models::Model& model, const checkpoint::QuantizationConfig& config)
      : model_(model), config_(config), scheme_(config.schemes.at(0)) {
    recipe_.method = Method::rtn;
    recipe_.weights.bits = scheme_.bits;
    recipe_.weights.group_size = scheme_.group_size;
    recipe_.weights.symmetric = scheme_.symmetric;
    recipe_.weights.observer = WeightObserver::minmax;
    add_matrices(model.graph);
    if (model.vision) add_matrices(*model.vision);
    if (model.vision) {
      for (const std::string& name : matrices_of(*model.vision)) {
        if (!is_transposed(model.checkpoint, name)) untouched_.push_back(name);
      }
    }
  }

  std::vector<OutputTensor> tensors() const {
    std::vector<OutputTensor> out;
    for (const TensorInfo& info : model_.checkpoint.tensors()) {
      if (is_stray_head(model_, info.name)) continue;
      if (const std::string module = module_of(info.name, kCodes); !module.empty()) {
        add_module(module, out);
      } else if (!goes_with_codes(info.name)) {
        out.push_back({{info.name, info.dtype, info.shape},
                       copy_of(*model_.checkpoint.find(info.name),
                               [this](std::span<const std::byte> bytes) { model_.checkpoint.release(bytes); })});
      }
    }
    return out;
  }

  Json config() const { return quantization_config(modules_, recipe_, untouched_); }

  // Every module is there, in the source's format.
  void check_written(const fs::path& folder) const {
    const models::Model written = models::Model::open(folder);
    for (const Module& module : modules_) {
      if (!module.kept.empty()) continue;
      const WeightFormat before = model_.checkpoint.description(module.weight, module.shape).format;
      const WeightFormat after = written.checkpoint.weight(module.weight, module.shape).format;
      DUAN_CHECK(format_name(before) == format_name(after), "{} was written as {}", module.name, format_name(after));
    }
  }

  Json report(const fs::path& output) const {
    const auto quantized =
        std::count_if(modules_.begin(), modules_.end(), [](const Module& m) { return m.kept.empty(); });
    return {{"source", {{"folder", model_.folder.string()}, {"format", storage_name(config_.storage)}}},
            {"folder", output.string()},
            {"format", "compressed-tensors pack-quantized"},
            {"bits", scheme_.bits},
            {"group_size", scheme_.group_size == 0 ? Json() : Json(scheme_.group_size)},
            {"symmetric", scheme_.symmetric},
            {"modules", {{"quantized", quantized}, {"plain", static_cast<int64_t>(modules_.size()) - quantized}}}};
  }

 private:
  void add_matrices(const ir::Graph& graph) {
    std::set<ir::WeightId> looked_up;
    for (const ir::Node& node : graph.nodes) {
      if (const auto* embed = std::get_if<ir::Embed>(&node.op)) looked_up.insert(embed->weight);
    }
    const bool is_tower = &graph != &model_.graph;
    for (size_t i = 0; i < graph.nodes.size(); ++i) {
      const auto* linear = std::get_if<ir::Linear>(&graph.nodes[i].op);
      if (linear == nullptr) continue;
      const ir::WeightInfo& info = graph.weight(linear->weight);
      Module module{.name = module_of(info.name, ".weight"),
                    .weight = info.name,
                    .shape = info.shape,
                    .dtype = DType::f32,
                    .embedding = looked_up.contains(linear->weight),
                    .linear = static_cast<ir::NodeId>(i)};
      if (!is_transposed(model_.checkpoint, module.name)) {
        module.kept = "plain in the source";
      } else {
        const TransposedWeight stored = transposed_weight(model_.checkpoint, module.name, module.shape, config_);
        if (!stored.in_order) {
          throw Error(fmt::format("tensor \"{}.g_idx\" puts columns into groups out of order (desc_act), which "
                                  "pack-quantized has no place for",
                                  printable(module.name)),
                      model_.folder.string(), "duan runs the model as it is; quantize the original to have it smaller");
        }
        module.dtype = stored.scales.dtype;
      }
      if (!module.kept.empty() && is_tower) continue;  // among the untouched
      modules_.push_back(std::move(module));
    }
  }

  // Parts of a module that its codes come with, and biases of zeros that the architecture does not have.
  bool goes_with_codes(const std::string& name) const {
    for (const std::string_view part : kBesideCodes) {
      if (const std::string module = module_of(name, part); !module.empty() && has_codes(module)) return true;
    }
    const std::string module = module_of(name, ".bias");
    return !module.empty() && has_codes(module) && !is_read(model_, name);
  }

  bool has_codes(const std::string& module) const { return is_transposed(model_.checkpoint, module); }

  void add_module(const std::string& name, std::vector<OutputTensor>& out) const {
    const auto module = std::find_if(modules_.begin(), modules_.end(), [&](const Module& m) { return m.name == name; });
    if (module == modules_.end()) {
      throw Error(fmt::format("tensor \"{}{}\" belongs to no layer of model_type {}", printable(name), kCodes,
                              model_.config.model_type),
                  model_.folder.string(), "config.json may belong to another model");
    }
    const auto numbers =
        std::make_shared<Numbers>(model_, transposed_weight(model_.checkpoint, name, module->shape, config_));
    for (const checkpoint::TensorSpec& spec : module_tensors(*module, recipe_)) {
      out.push_back({spec, writer_of(spec, *module, numbers)});
    }
  }

  static std::function<void(const ByteSink&)> writer_of(const checkpoint::TensorSpec& spec, const Module& module,
                                                        const std::shared_ptr<Numbers>& numbers) {
    const auto part = [&](std::vector<std::byte> RepackedWeight::*bytes) {
      return [numbers, bytes](const ByteSink& sink) { sink(numbers->get().*bytes); };
    };
    if (spec.name.ends_with(".weight_packed")) return part(&RepackedWeight::codes);
    if (spec.name.ends_with(".weight_scale")) return part(&RepackedWeight::scales);
    if (spec.name.ends_with(".weight_zero_point")) return part(&RepackedWeight::zero_points);
    return [numbers, shape = module.shape](const ByteSink& sink) {  // weight_shape, the last
      sink(std::as_bytes(std::span(shape)));
      numbers->drop();
    };
  }

  const models::Model& model_;
  const checkpoint::QuantizationConfig& config_;
  const checkpoint::QuantizationScheme& scheme_;
  Recipe recipe_;
  std::vector<Module> modules_;
  std::vector<std::string> untouched_;
};

}  // namespace

Json convert(const models::Model& model, const fs::path& output, const ConvertOptions& options,
             const ConversionProgress& progress) {
  const Repacking repacking(model, convertible(model));
  const auto config = [&] {
    const std::string source = (model.folder / "config.json").string();
    return with_quantization_config(read_file(source), repacking.config(), source);
  };
  return write_conversion(
      model, output, options,
      {[&] { return repacking.tensors(); }, config, [&](const fs::path& folder) { repacking.check_written(folder); }},
      repacking.report(output), progress);
}

}  // namespace duan::quant
