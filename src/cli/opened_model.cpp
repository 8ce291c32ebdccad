#include "cli/opened_model.h"

#include "base/error.h"

namespace duan::cli {
namespace fs = std::filesystem;
namespace {

bool holds_checkpoint(const fs::path& folder) {
  std::error_code ignored;
  return fs::exists(folder / "model.safetensors", ignored) ||
         fs::exists(folder / "model.safetensors.index.json", ignored);
}

std::string choose_engine(const std::string& asked, const fs::path& folder) {
  const bool onnx_only = ort::holds_onnx_model(folder) && !holds_checkpoint(folder);
  if (asked == "auto") return onnx_only ? "onnx" : "native";
  if (asked == "onnx" && !ort::holds_onnx_model(folder)) {
    throw Error("holds no ONNX model, which --engine onnx runs", folder.string(),
                fmt::format("make one: duan export {} -o DIR, then name that folder", folder.string()));
  }
  if (asked != "onnx" && onnx_only) {
    throw Error(fmt::format("holds an ONNX model and no safetensors, which --engine {} runs", asked), folder.string(),
                "leave --engine out, or name the folder the model was exported from");
  }
  return asked;
}

}  // namespace

OpenedModel::OpenedModel(const ModelOptions& options)
    : folder_(model_folder(options.model)), engine_(choose_engine(options.engine, folder_)) {
  if (engine_ == "onnx") {
    onnx_ = ort::ModelFolder::open(folder_);
  } else {
    checkpoint_ = std::make_unique<models::Model>(models::Model::open(folder_));
  }
}

int64_t OpenedModel::vocab_size() const {
  return onnx_ ? onnx_->vocab_size : ir::width(checkpoint_->graph.value(checkpoint_->graph.outputs.at(0)).type);
}

int64_t OpenedModel::positions() const { return onnx_ ? onnx_->context : checkpoint_->config.max_position_embeddings; }

checkpoint::ModelConfig OpenedModel::config() const {
  return checkpoint_ != nullptr ? checkpoint_->config : checkpoint::read_config(folder_);
}

std::unique_ptr<engine::Engine> OpenedModel::make_engine(const ModelOptions& options) const {
  if (onnx_) return ort::make_session(*onnx_, onnx_options(options));
  if (engine_ == "reference") return make_reference(options);
  return engine::make_native(checkpoint_->graph, checkpoint_->checkpoint, engine_options(options));
}

std::unique_ptr<engine::ImageEncoder> OpenedModel::make_encoder(const ModelOptions& options) const {
  if (onnx_ && onnx_->images) return ort::make_encoder(*onnx_, onnx_options(options));
  if (checkpoint_ == nullptr || !checkpoint_->vision) {
    throw Error("sees no images", folder_.string(), "choose a Qwen3-VL model");
  }
  if (engine_ == "reference") return engine::make_reference_encoder(*checkpoint_->vision, checkpoint_->checkpoint);
  return engine::make_native_encoder(*checkpoint_->vision, checkpoint_->checkpoint, engine_options(options));
}

std::unique_ptr<engine::Engine> OpenedModel::make_reference(const ModelOptions& options) const {
  return engine::make_reference(checkpoint_->graph, checkpoint_->checkpoint, engine_options(options));
}

engine::Options OpenedModel::engine_options(const ModelOptions& o) const {
  engine::Options options;
  options.threads = o.threads;
  options.chunk = o.chunk;
  options.compute = o.compute == "fp32"    ? engine::Compute::fp32
                    : o.compute == "int16" ? engine::Compute::int16
                    : o.compute == "bf16"  ? engine::Compute::bf16
                                           : engine::Compute::automatic;
  options.kv_automatic = o.kv_dtype == "auto";
  options.kv_dtype = o.kv_dtype == "bf16" ? DType::bf16 : DType::f32;
  options.context = context_of(o);
  return options;
}

int64_t OpenedModel::context_of(const ModelOptions& options) const {
  if (options.context > positions()) {
    throw Error(fmt::format("{} positions, the model was made for {}", options.context, positions()), "--ctx-size",
                onnx_ ? "choose at most that many, or export it again with a larger --context"
                      : "choose at most that many, or set rope scaling in config.json as the model's card describes");
  }
  return options.context > 0 ? options.context : std::min(positions(), kDefaultContext);
}

ort::Options OpenedModel::onnx_options(const ModelOptions& o) const {
  if (o.compute == "bf16" || o.compute == "int16") {
    throw Error(
        "an ONNX graph states its own precision; of --engine onnx, fp32 asks for exact products with "
        "quantized weights",
        "--compute", "leave it out, or choose fp32");
  }
  if (o.kv_dtype != "auto")
    throw Error("an ONNX graph states the type of its own KV cache", "--kv-dtype", "leave it out");
  ort::Options options;
  options.threads = o.threads;
  options.chunk = o.chunk;
  options.context = context_of(o);
  if (o.compute == "fp32") options.accuracy_level = 0;
  return options;
}

}  // namespace duan::cli
