// A model folder as an ONNX folder: model.onnx, model.onnx.data, genai_config.json, and the checkpoint's own
// configuration and tokenizer files.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "models/model.h"
#include "onnx/external_data.h"
#include "onnx/options.h"

namespace duan::onnx {

struct ExportedFile {
  std::string name;
  uint64_t bytes;
};

struct Export {
  std::vector<ExportedFile> files;  // in the order they were written
  size_t nodes = 0;
  Options options;  // as used: the context filled in
};

// Writes `folder`, which appears complete or not at all. The same model and options give the same bytes. With
// `overwrite`, a folder an earlier export made is replaced. Throws Error: the folder is there, is not one of ours, or
// holds the model itself; the disk is full; the graph does not fit the dialect; a number does not fit the precision.
Export export_model(const models::Model& model, const std::filesystem::path& folder, const Options& options,
                    bool overwrite = false, const Progress& progress = {});

}  // namespace duan::onnx
