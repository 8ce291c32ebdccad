#include "quant/dequantize.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "base/error.h"
#include "checkpoint/awq_gptq_weight.h"
#include "checkpoint/quantized_weight.h"
#include "quant/module_writer.h"
#include "quant/modules.h"
#include "quant/source_matrix.h"

namespace duan::quant {
namespace {
namespace fs = std::filesystem;

using checkpoint::ByteSink;
using checkpoint::TensorInfo;

DType stated_dtype(const models::Model& model) {
  if (model.config.dtype == "float32") return DType::f32;
  return model.config.dtype == "float16" ? DType::f16 : DType::bf16;
}

const char* name_in_config(DType dtype) {
  if (dtype == DType::f32) return "float32";
  return dtype == DType::f16 ? "float16" : "bfloat16";
}

std::string module_of(const std::string& tensor, std::string_view part) {
  return tensor.ends_with(part) ? tensor.substr(0, tensor.size() - part.size()) : "";
}

class Decoding {
 public:
  Decoding(const models::Model& model, DType dtype) : model_(model), dtype_(dtype) {
    if (!model.config.quantization) {
      throw Error("is not quantized", model.folder.string(), "there is nothing to decode; use it as it is");
    }
    add_weights(model.graph);
    if (model.vision) add_weights(*model.vision);
    if (weights_.empty()) throw Error("holds no quantized weights", model.folder.string(), "use it as it is");
  }

  std::vector<OutputTensor> tensors() const {
    std::vector<OutputTensor> out;
    for (const TensorInfo& info : model_.checkpoint.tensors()) {
      if (const auto codes = weights_.find(info.name); codes != weights_.end()) {
        const ir::WeightInfo& weight = codes->second;
        out.push_back(
            {{weight.name, dtype_, weight.shape}, [this, weight](const ByteSink& sink) { write(weight, sink); }});
      } else if (!goes_with_codes(info.name) && !is_stray_head(model_, info.name)) {
        check_plain(info);
        out.push_back({{info.name, info.dtype, info.shape},
                       copy_of(*model_.checkpoint.find(info.name),
                               [this](std::span<const std::byte> bytes) { model_.checkpoint.release(bytes); })});
      }
    }
    return out;
  }

  std::string config() const {
    const std::string source = (model_.folder / "config.json").string();
    Json json = parse_json(read_file(source), source);
    json.erase("quantization_config");
    state_dtype(json);
    if (json.contains("text_config")) {
      json["text_config"].erase("quantization_config");
      state_dtype(json["text_config"]);
    }
    return to_text(json, 2) + "\n";
  }

  void check_written(const fs::path& folder) const {
    const models::Model written = models::Model::open(folder);
    DUAN_CHECK(!written.config.quantization, "{} is still quantized", folder.string());
    for (const auto& [codes, weight] : weights_) {
      const WeightFormat format = written.checkpoint.weight(weight.name, weight.shape).format;
      DUAN_CHECK(format_name(format) == dtype_name(dtype_), "{} was written as {}", weight.name, format_name(format));
    }
  }

  Json report(const fs::path& output) const {
    const checkpoint::QuantizationConfig& config = *model_.config.quantization;
    const bool rounds = std::any_of(config.schemes.begin(), config.schemes.end(),
                                    [](const auto& scheme) { return scheme.input != InputRounding::none; });
    return {{"source", {{"folder", model_.folder.string()}, {"format", storage_name(config.storage)}}},
            {"folder", output.string()},
            {"format", "plain"},
            {"dtype", dtype_name(dtype_)},
            {"inputs_were_rounded", rounds},
            {"modules", {{"quantized", weights_.size()}}}};
  }

 private:
  void add_weights(const ir::Graph& graph) {
    for (const ir::WeightInfo& weight : graph.weights) {
      const std::string module = module_of(weight.name, ".weight");
      const bool transposed = checkpoint::is_transposed(model_.checkpoint, module);
      if (module.empty() || (!transposed && !checkpoint::is_quantized(model_.checkpoint, module))) continue;
      (void)model_.checkpoint.description(weight.name, weight.shape);  // throws if the tensors do not fit
      const std::vector<TensorInfo> parts = model_.checkpoint.tensors_of(weight.name);
      weights_.emplace(parts.front().name, weight);
      for (size_t i = 1; i < parts.size(); ++i) with_codes_.insert(parts[i].name);
      // The head of a tied model reads the table; a bias of zeros stands beside codes of GPTQ tools.
      for (const char* part : {".weight_scale", ".input_scale", ".input_zero_point"}) {
        if (checkpoint::module_class(module) == "Embedding") with_codes_.insert(std::string(kHead) + part);
      }
      if (transposed && !is_read(model_, module + ".bias")) with_codes_.insert(module + ".bias");
    }
  }

  bool goes_with_codes(const std::string& name) const { return with_codes_.contains(name); }

  void check_plain(const TensorInfo& info) const {
    const bool codes = info.name.ends_with(".qweight") || info.name.ends_with(".weight_packed") ||
                       (info.dtype == DType::i8 && info.name.ends_with(".weight"));
    if (!codes) return;
    throw Error(fmt::format("tensor \"{}\" belongs to no layer of model_type {}", printable(info.name),
                            model_.config.model_type),
                model_.folder.string(), "config.json may belong to another model");
  }

  void write(const ir::WeightInfo& info, const ByteSink& sink) const {
    const std::string module = module_of(info.name, ".weight");
    if (!checkpoint::is_transposed(model_.checkpoint, module)) {
      write_rows(model_.checkpoint.weight(info.name, info.shape), sink);
    } else {
      const checkpoint::RepackedWeight numbers = checkpoint::repack(
          checkpoint::transposed_weight(model_.checkpoint, module, info.shape, *model_.config.quantization));
      write_rows(numbers.weight, sink);
    }
    for (const TensorInfo& part : model_.checkpoint.tensors_of(info.name)) {
      const auto view = model_.checkpoint.find(part.name);
      model_.checkpoint.release({view->data, view->bytes});
    }
  }

  void write_rows(const Weight& weight, const ByteSink& sink) const {
    const int64_t columns = weight.columns(), piece = rows_at_once(columns);
    std::vector<float> values(static_cast<size_t>(std::min(piece, weight.rows()) * columns));
    for (int64_t first = 0; first < weight.rows(); first += piece) {
      const int64_t count = std::min(piece, weight.rows() - first);
      for (int64_t r = 0; r < count; ++r) weight.row_to_float(first + r, values.data() + r * columns);
      const std::span<const float> written = std::span(values).first(static_cast<size_t>(count * columns));
      for (const float value : written) {
        if (std::isfinite(nearest(dtype_, value))) continue;
        throw Error(fmt::format("tensor \"{}\" holds {}, which {} has no place for", printable(weight.name), value,
                                dtype_name(dtype_)),
                    model_.folder.string(), "choose --dequantize bf16 or f32");
      }
      sink(as_stored(written, dtype_));
      release(weight, first, count);
    }
  }

  // Says that these rows will not be read again.
  void release(const Weight& weight, int64_t first, int64_t count) const {
    const auto release_codes = [&](const std::byte* codes, int64_t row_bytes) {
      model_.checkpoint.release({codes + first * row_bytes, static_cast<size_t>(count * row_bytes)});
    };
    if (const auto* w = std::get_if<Int8Channel>(&weight.format)) release_codes(w->codes, weight.columns());
    if (const auto* w = std::get_if<IntGroup>(&weight.format)) {
      release_codes(w->codes, (weight.columns() * w->bits + 31) / 32 * 4);
    }
  }

  // "dtype" is what transformers 5 writes, "torch_dtype" what versions before it wrote.
  void state_dtype(Json& json) const {
    for (const char* key : {"dtype", "torch_dtype"}) {
      if (json.contains(key) && json[key].is_string()) json[key] = name_in_config(dtype_);
    }
  }

  const models::Model& model_;
  DType dtype_;
  std::map<std::string, ir::WeightInfo> weights_;  // by the tensor of their codes
  std::set<std::string> with_codes_;               // tensors that come with them
};

}  // namespace

Json dequantize(const models::Model& model, const fs::path& output, std::optional<DType> dtype,
                const ConvertOptions& options, const ConversionProgress& progress) {
  const Decoding decoding(model, dtype.value_or(stated_dtype(model)));
  return write_conversion(model, output, options,
                          {[&] { return decoding.tensors(); }, [&] { return decoding.config(); },
                           [&](const fs::path& folder) { decoding.check_written(folder); }},
                          decoding.report(output), progress);
}

}  // namespace duan::quant
