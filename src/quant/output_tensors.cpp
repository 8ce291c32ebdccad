#include "quant/output_tensors.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <memory>

#include "base/error.h"
#include "base/log.h"
#include "quant/block_quantizer.h"

namespace duan::quant {
namespace {

using checkpoint::ByteSink;
using checkpoint::TensorInfo;
using checkpoint::TensorView;

using BlockFile = std::shared_ptr<checkpoint::SafetensorsFile>;

// The tensor of this name in one of the blocks.
class Blocks {
 public:
  explicit Blocks(const WorkFolder& work) {
    for (size_t block = 0; block < work.finished(); ++block) {
      if (auto file = work.tensors(block)) {
        files_.push_back(std::make_shared<checkpoint::SafetensorsFile>(std::move(*file)));
      }
    }
  }

  BlockFile holder(const std::string& name) const {
    for (const BlockFile& file : files_) {
      if (file->entry(name) != nullptr) return file;
    }
    return nullptr;
  }

  static OutputTensor copy(const BlockFile& file, const std::string& name) {
    const TensorView view = *file->find(name);
    return {{name, view.dtype, view.shape},
            copy_of(view, [file](std::span<const std::byte> bytes) { file->release(bytes); })};
  }

  std::vector<float> floats(const std::string& name) const {
    const BlockFile file = holder(name);
    if (file == nullptr) return {};
    const TensorView view = *file->find(name);
    std::vector<float> values(view.bytes / sizeof(float));
    std::memcpy(values.data(), view.data, view.bytes);
    return values;
  }

 private:
  std::vector<BlockFile> files_;
};

// A kept matrix whose columns or rows smoothing changed, in its own dtype. The factors are powers of two.
void write_adjusted(const models::Model& model, const Module& module, const Adjustment& adjustment,
                    const ByteSink& sink) {
  const SourceMatrix source(model.checkpoint, module.weight, module.shape);
  const int64_t piece = rows_at_once(source.columns());
  std::vector<float> values;
  std::vector<uint16_t> narrow;
  for (int64_t first = 0; first < source.rows(); first += piece) {
    const int64_t count = std::min(piece, source.rows() - first);
    values.resize(static_cast<size_t>(count * source.columns()));
    source.read(first, count, adjustment, values.data());
    narrow.clear();
    for (const float value : values) {
      if (!std::isfinite(nearest(module.dtype, value))) {
        throw Error(
            fmt::format("tensor \"{}\" does not fit {} after smoothing", module.weight, dtype_name(module.dtype)),
            model.folder.string(), "use --no-smooth, or --method rtn in place of awq");
      }
      if (module.dtype == DType::bf16) narrow.push_back(float_to_bf16(value));
      if (module.dtype == DType::f16) narrow.push_back(float_to_f16(value));
    }
    sink(module.dtype == DType::f32 ? std::as_bytes(std::span(values)) : std::as_bytes(std::span(narrow)));
    source.release(first, count);
  }
}

bool is_stray_head(const models::Model& model, const std::vector<Module>& modules, const std::string& name) {
  const bool tied = std::any_of(modules.begin(), modules.end(), [](const Module& m) { return m.tied(); });
  const bool is_read = std::any_of(model.graph.weights.begin(), model.graph.weights.end(),
                                   [&](const ir::WeightInfo& w) { return w.name == name; });
  return tied && !is_read && name == std::string(kHead) + ".weight";
}

}  // namespace

std::vector<OutputTensor> output_tensors(const models::Model& model, const std::vector<Module>& modules,
                                         const Recipe& recipe, const WorkFolder& work) {
  std::map<std::string, const Module*> by_weight;
  for (const Module& module : modules) by_weight[module.weight] = &module;
  const Blocks blocks(work);
  std::vector<OutputTensor> tensors;
  for (const TensorInfo& info : model.checkpoint.tensors()) {
    const auto known = by_weight.find(info.name);
    const Module* module = known == by_weight.end() ? nullptr : known->second;
    if (is_stray_head(model, modules, info.name)) {
      warn("{} is left out: the model's head is its embedding", info.name);
    } else if (module != nullptr && module->kept.empty()) {
      for (const checkpoint::TensorSpec& spec : module_tensors(*module, recipe)) {
        const BlockFile file = blocks.holder(spec.name);
        DUAN_CHECK(file != nullptr, "{} is in no block", spec.name);
        tensors.push_back(Blocks::copy(file, spec.name));
      }
    } else if (module != nullptr) {
      Adjustment adjustment{blocks.floats(module->name + kRowDivisors), blocks.floats(module->name + kColumnFactors)};
      if (adjustment.empty()) {
        tensors.push_back({{info.name, info.dtype, info.shape},
                           copy_of(*model.checkpoint.find(info.name),
                                   [&model](std::span<const std::byte> bytes) { model.checkpoint.release(bytes); })});
      } else {
        tensors.push_back({{info.name, info.dtype, info.shape},
                           [&model, module, adjustment = std::move(adjustment)](const ByteSink& sink) {
                             write_adjusted(model, *module, adjustment, sink);
                           }});
      }
    } else if (const BlockFile file = blocks.holder(info.name)) {  // a norm or bias that was divided
      tensors.push_back(Blocks::copy(file, info.name));
    } else {
      tensors.push_back({{info.name, info.dtype, info.shape},
                         copy_of(*model.checkpoint.find(info.name),
                                 [&model](std::span<const std::byte> bytes) { model.checkpoint.release(bytes); })});
    }
  }
  return tensors;
}

void keep_within_budget(std::vector<Module>& modules, const Json& records, const models::Model& model,
                        const Recipe& recipe) {
  const auto source_bytes = static_cast<double>(model.checkpoint.total_bytes());
  const double most = recipe.budget / 100 * source_bytes;
  const auto kept_bytes = [](const Module& m) {
    return static_cast<double>(m.shape[0] * m.shape[1]) * static_cast<double>(dtype_size(m.dtype));
  };
  const auto quantized_bytes = [&](const Module& m) {
    double bytes = 0;
    for (const checkpoint::TensorSpec& spec : module_tensors(m, recipe)) bytes += static_cast<double>(bytes_of(spec));
    return bytes;
  };
  double bytes = source_bytes;
  for (const Module& module : modules) {
    if (module.kept.empty()) bytes -= kept_bytes(module) - quantized_bytes(module);
  }
  if (bytes > most) {
    throw Error(fmt::format("{} % is less than the {:.1f} % that the weights need with every layer quantized",
                            recipe.budget, 100 * bytes / source_bytes),
                "--budget");
  }
  std::vector<std::pair<double, Module*>> by_error;
  for (Module& module : modules) {
    const auto record =
        std::find_if(records.begin(), records.end(), [&](const Json& r) { return r.at("module") == module.name; });
    if (!module.kept.empty() || record == records.end() || !record->contains("output_error")) continue;
    by_error.emplace_back(record->at("output_error").get<double>(), &module);
  }
  std::stable_sort(by_error.begin(), by_error.end(), [](const auto& a, const auto& b) { return a.first > b.first; });
  for (const auto& [error, module] : by_error) {
    const double more = kept_bytes(*module) - quantized_bytes(*module);
    if (bytes + more > most) continue;
    bytes += more;
    module->kept = "--budget";
  }
}

}  // namespace duan::quant
