#include "quant/conversion_folder.h"

#include <algorithm>

#include "base/log.h"
#include "quant/modules.h"
#include "quant/output_folder.h"

namespace duan::quant {

Json write_conversion(const models::Model& model, const std::filesystem::path& output, const ConvertOptions& options,
                      const Conversion& work, Json report, const ConversionProgress& progress) {
  check_output(model.folder, output, options.overwrite, kConversionReport);
  AtomicFolder folder(output, options.overwrite);
  in_named_folder(folder, [&] {
    const std::vector<OutputTensor> tensors = work.tensors();
    uint64_t bytes = 0;
    for (const OutputTensor& tensor : tensors) bytes += bytes_of(tensor.spec);
    check_room(folder.path(), bytes);
    std::vector<OutputFile> files =
        write_shards(folder.path(), tensors, options.max_shard_bytes, [&](uint64_t done) { progress(done, bytes); });
    const auto write = [&](const std::string& name, std::string_view content) {
      files.push_back({name, write_whole_file(folder.path() / name, content)});
    };
    write("config.json", work.config());
    for_each_companion(model.folder, write);
    report["bytes"] = {{"source", model.checkpoint.total_bytes()}, {"output", bytes}};
    report["files"] = Json::array();
    for (const OutputFile& file : files) report["files"].push_back({{"name", file.name}, {"bytes", file.bytes}});
    write(kConversionReport, to_text(report, 1) + "\n");
    work.check(folder.path());
  });
  folder.commit();
  return report;
}

bool is_read(const models::Model& model, const std::string& tensor) {
  const auto reads = [&](const ir::Graph& graph) {
    return std::any_of(graph.weights.begin(), graph.weights.end(),
                       [&](const ir::WeightInfo& weight) { return weight.name == tensor; });
  };
  return reads(model.graph) || (model.vision && reads(*model.vision));
}

bool is_stray_head(const models::Model& model, const std::string& tensor) {
  if (tensor != std::string(kHead) + ".weight" || is_read(model, tensor)) return false;
  warn("{} is left out: the model's head is its embedding", tensor);
  return true;
}

}  // namespace duan::quant
