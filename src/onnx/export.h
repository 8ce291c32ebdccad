// A model folder as an ONNX folder: model.onnx, model.onnx.data, genai_config.json, and the checkpoint's own
// configuration and tokenizer files. Of a model that sees images there are three graphs in place of model.onnx, which
// share the data.
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
  size_t nodes = 0;                 // of all graphs
  Options options;                  // as used: the context filled in
};

// Writes `folder`, which appears complete or not at all. The same model and options give the same bytes. With
// `overwrite`, a folder an earlier export made is replaced. Throws Error: the folder is there, is not one of ours, or
// holds the model itself; the disk is full; the graph does not fit the dialect; a number does not fit the precision; a
// context for a model that sees images, whose graphs have none.
Export export_model(const models::Model& model, const std::filesystem::path& folder, const Options& options,
                    bool overwrite = false, const Progress& progress = {});

}  // namespace duan::onnx
