// A model a command runs: a checkpoint folder with its graph, or an ONNX folder.
#pragma once

#include <memory>
#include <optional>

#include "cli/model_options.h"
#include "engine/image_encoder.h"
#include "models/model.h"
#include "ort/model_folder.h"
#include "ort/session.h"

namespace duan::cli {

class OpenedModel {
 public:
  // Throws Error: what the folder holds is malformed, or not for the engine asked for.
  explicit OpenedModel(const ModelOptions& options);

  const std::filesystem::path& folder() const { return folder_; }
  const std::string& engine() const { return engine_; }  // native, reference or onnx: what auto became
  int64_t vocab_size() const;
  int64_t positions() const;                                             // it was made for
  const models::Model* checkpoint() const { return checkpoint_.get(); }  // with the graph; nullptr: an ONNX folder

  // Of the folder's config.json. Throws Error.
  checkpoint::ModelConfig config() const;

  const std::optional<ort::ModelFolder>& onnx() const { return onnx_; }

  // The model must outlive the engine. Throws Error: options the engine does not have, a context the model was not made
  // for, no memory for the cache; no ONNX Runtime, or a file it does not take.
  std::unique_ptr<engine::Engine> make_engine(const ModelOptions& options) const;
  // Its vision tower, for as long as the model lives. Throws Error: the model sees no images.
  std::unique_ptr<engine::ImageEncoder> make_encoder(const ModelOptions& options) const;

  // The same for a checkpoint and its reference engine.
  std::unique_ptr<engine::Engine> make_reference(const ModelOptions& options) const;

  // What the native engine of a checkpoint is made with.
  engine::Options engine_options(const ModelOptions& options) const;

 private:
  int64_t context_of(const ModelOptions& options) const;
  ort::Options onnx_options(const ModelOptions& options) const;

  std::filesystem::path folder_;
  std::string engine_;
  std::unique_ptr<models::Model> checkpoint_;  // one of the two
  std::optional<ort::ModelFolder> onnx_;
};

}  // namespace duan::cli
