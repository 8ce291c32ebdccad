// A model folder as a quantized one, layer by layer: memory is one block's weights and the calibration activations.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

#include "base/json.h"
#include "models/model.h"
#include "quant/calibration.h"
#include "quant/recipe.h"

namespace duan::quant {

struct QuantizeOptions {
  Recipe recipe;
  uint64_t max_shard_bytes = 5'000'000'000;
  int threads = 0;                    // 0: one per processor; the result does not depend on it
  bool overwrite = false;             // replace what an earlier run wrote
  bool restart = false;               // throw unfinished work of another run away
  PictureReader* pictures = nullptr;  // of the calibration set, if it has any
  // What the finished model in a folder is worth, for the report: "evaluation". May throw to stop.
  std::function<Json(const std::filesystem::path& folder)> evaluate{};
};

// What is being done ("model.layers.3.mlp", "writing"), and how far it is in all; the sizes of both phases have units
// of their own. May throw to stop: finished blocks stay.
struct QuantizeProgress {
  std::string what;
  bool writing = false;
  int64_t done = 0, total = 1;  // numbers of the matrices; bytes while writing
  std::string stage{};          // of the block: "inputs", "scales", "ranges", "errors so far", "weights"
};

// The content of quantization_report.json: "source" {"name", "model_type"}, "recipe", "calibration", "bytes" {"source",
// "output"}, "modules" (per module: "module", "kept" with the reason or "input_range", "weight_error", "output_error",
// "output_error_unsmoothed" (to nearest and without smoothing), which are relative; of GPTQ "loss_before" (to nearest
// with the same scales) and "loss_after", mean squares of the change of an output over all tokens, or "to_nearest" with
// the reason; of imatrix "unweighted" with the reason), "smoothing" (per pair: "producer", "consumers", "not_smoothed"
// with the reason or what chose the scales: "alpha", or "ratio", "duo_scaling", "loss_before", "loss_after"; "scales"
// {"min", "median", "max"}), "refused" (inputs of layers that are no pair: "producer", "consumers", "reason"),
// "evaluation" if it was asked for, "files", "run" {"seconds", "peak_rss_bytes", "resumed_blocks"}. The same inputs
// give the same report, "run" apart.
inline constexpr const char* kReportFile = "quantization_report.json";
// The same as a page: report.h.
inline constexpr const char* kReportPage = "quantization_report.html";

// Writes `output`, which appears complete or not at all: compressed-tensors weights, config.json with
// quantization_config, kReportFile, kReportPage and the source's other files. Finished blocks are kept in
// WorkFolder::path_for(output) until then: a run that was killed goes on there, with the same result to the byte.
// `samples` may be nullptr unless recipe.needs_samples(). Throws Error: whatever the headers of this
// folder say; the output is there, or is the model itself; no room on the disk.
Json quantize(const models::Model& model, const CalibrationSet* samples, const std::filesystem::path& output,
              const QuantizeOptions& options, const std::function<void(const QuantizeProgress&)>& progress = {});

}  // namespace duan::quant
