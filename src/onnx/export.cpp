#include "onnx/export.h"

#include "base/atomic_folder.h"
#include "base/error.h"
#include "base/mapped_file.h"
#include "checkpoint/companion_files.h"
#include "onnx/genai_config.h"
#include "onnx/lower.h"
#include "onnx/names.h"

namespace duan::onnx {
namespace {
namespace fs = std::filesystem;

constexpr const char* kDataFile = "model.onnx.data";
constexpr uint64_t kMaxProto = (uint64_t{1} << 31) - 1;  // protobuf's limit for one message

bool is_there(const fs::path& path) {
  std::error_code ignored;
  return fs::exists(path, ignored);
}

// Replacing removes all that the folder holds, so it must be what an export made.
void check_replaceable(const fs::path& folder) {
  std::error_code ignored;
  if (!fs::is_directory(folder, ignored) || fs::is_empty(folder, ignored)) return;
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if (entry.is_directory(ignored) || name.ends_with(".safetensors")) {
      throw Error(fmt::format("holds {}, which no export wrote; it is not replaced", printable(name)), folder.string(),
                  "choose another folder");
    }
  }
  if (!is_there(folder / kModelFile) && !is_there(folder / kDecoderFile)) {
    throw Error("is not empty and holds no model.onnx; it is not replaced", folder.string(), "choose another folder");
  }
}

class FolderWriter {
 public:
  FolderWriter(const fs::path& folder, bool replace) : folder_(folder, replace) {}

  void write(const char* name, std::string_view content) {
    AtomicFile file(folder_.path() / name, content.size());
    file.write(content);
    file.commit();
    files.push_back({name, content.size()});
  }

  void copy(const fs::path& source) {
    const MappedFile from(source);
    const std::span<const std::byte> bytes = from.bytes();
    write(source.filename().c_str(), {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  }

  void write_data(const ExternalData& data, const Progress& progress) {
    AtomicFile file(folder_.path() / kDataFile, data.bytes());
    data.write(file, progress);
    file.commit();
    files.push_back({kDataFile, data.bytes()});
  }

  void commit() { folder_.commit(); }

  // An error about a file in the temporary folder, told of the folder the user named.
  Error named(const Error& error) const {
    const std::string& inside = folder_.path().native();
    if (!error.where().starts_with(inside)) return error;
    return Error(error.message(), folder_.target().native() + error.where().substr(inside.size()), error.hint());
  }

  std::vector<ExportedFile> files;

 private:
  AtomicFolder folder_;
};

struct Graphs {
  std::vector<const char*> files;
  std::vector<Model> models;
};

Graphs lower_all(const models::Model& model, const Options& options) {
  Graphs graphs;
  const auto add = [&](const char* file, Model onnx) {
    graphs.files.push_back(file);
    graphs.models.push_back(std::move(onnx));
  };
  add(model.vision ? kDecoderFile : kModelFile, lower(model.graph, model.checkpoint, options));
  if (model.vision) {
    add(kEmbeddingFile, lower_embedding(model.graph, model.checkpoint, options));
    add(kTowerFile, lower_tower(*model.vision, model.config, model.checkpoint, options));
  }
  return graphs;
}

}  // namespace

Export export_model(const models::Model& model, const fs::path& folder, const Options& options, bool overwrite,
                    const Progress& progress) {
  Export result;
  result.options = options;
  const int64_t trained = model.config.max_position_embeddings;
  if (options.context > trained) {
    throw Error(fmt::format("{} positions, the model was made for {}", options.context, trained), "--context");
  }
  if (options.context != 0 && model.vision) {
    throw Error("the graphs of a model that sees images have no table of positions that would end there", "--context",
                "leave it out");
  }
  if (options.context == 0) result.options.context = trained;
  std::error_code ignored;
  if (is_there(folder) && fs::equivalent(folder, model.folder, ignored)) {
    throw Error("is the folder of the model itself", folder.string(), "choose another folder");
  }
  if (overwrite) check_replaceable(folder);

  Graphs graphs = lower_all(model, result.options);
  const ExternalData data(graphs.models, kDataFile);
  for (const Model& onnx : graphs.models) {
    result.nodes += static_cast<size_t>(onnx.proto.graph().node_size());
    DUAN_CHECK(onnx.proto.ByteSizeLong() <= kMaxProto, "a graph would have {} bytes", onnx.proto.ByteSizeLong());
  }

  FolderWriter writer(folder, overwrite);
  try {
    if (data.bytes() > 0) writer.write_data(data, progress);
    for (size_t i = 0; i < graphs.models.size(); ++i) {
      writer.write(graphs.files[i], graphs.models[i].proto.SerializeAsString());
    }
    if (options.kv_cache && !model.vision) {
      const checkpoint::GenerationConfig generation = checkpoint::read_generation_config(model.folder);
      writer.write(
          "genai_config.json",
          to_text(genai_config(model.config, generation, result.options, graphs.models[0].int8_products), 2) + "\n");
    }
    writer.copy(model.folder / "config.json");
    for (const char* name : checkpoint::kCompanionFiles) {
      if (is_there(model.folder / name)) writer.copy(model.folder / name);
    }
    writer.commit();
  } catch (const Error& error) {
    throw writer.named(error);
  }
  result.files = std::move(writer.files);
  return result;
}

}  // namespace duan::onnx
