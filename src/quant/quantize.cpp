#include "quant/quantize.h"

#include <sys/stat.h>

#include <algorithm>
#include <chrono>
#include <memory>

#include "base/atomic_folder.h"
#include "base/error.h"
#include "engine/memory.h"
#include "engine/plan.h"
#include "kernels/linear.h"
#include "quant/block_quantizer.h"
#include "quant/modules.h"
#include "quant/output_folder.h"
#include "quant/output_tensors.h"
#include "quant/picture_rows.h"
#include "quant/quantized_checkpoint.h"
#include "quant/report.h"
#include "quant/work_folder.h"

namespace duan::quant {
namespace {
namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

uint64_t inode_of(const fs::path& path) {  // 0 if it is not there
  struct stat info {};
  return ::stat(path.c_str(), &info) == 0 ? info.st_ino : 0;
}

Json calibration_json(const CalibrationSet* samples) {
  if (samples == nullptr) return nullptr;
  Json json = {{"samples", samples->samples.size()}, {"tokens", samples->tokens()}};
  if (!samples->pictures.empty()) {
    json["pictures"] = samples->pictures.size();
    json["image_tokens"] = samples->image_tokens();
  }
  json["hash"] = samples->hash();
  return json;
}

std::string name_of(const fs::path& folder) {
  const fs::path whole = fs::weakly_canonical(folder);
  return whole.filename().string();
}

Json refused_json(const ir::Graph& graph, bool share_heads) {
  Json list = Json::array();
  for (const SmoothingRefusal& refusal : find_smoothing(graph, share_heads).refused) {
    Json consumers = Json::array();
    for (const ir::NodeId id : refusal.consumers) consumers.push_back(graph.node(id).name);
    list.push_back({{"producer", refusal.producer ? Json(graph.node(*refusal.producer).name) : Json()},
                    {"consumers", std::move(consumers)},
                    {"reason", refusal.reason}});
  }
  return list;
}

// Of what runs compute: raised by every change with which the same run would write other bytes.
constexpr int kAlgorithm = 2;

// Everything the work of a run depends on.
Json identity_of(const models::Model& model, const CalibrationSet* samples, const Recipe& recipe) {
  Json files = Json::array();
  std::string last;
  for (const checkpoint::TensorInfo& tensor : model.checkpoint.tensors()) {
    if (tensor.file.string() == last) continue;
    last = tensor.file.string();
    files.push_back({{"name", tensor.file.filename().string()},
                     {"bytes", fs::file_size(tensor.file)},
                     {"changed", fs::last_write_time(tensor.file).time_since_epoch().count()}});
  }
  // Sums in floating point differ between instruction sets.
  Json kernel = kernels::select_linear(DType::f32, DType::f32).name;
  if (const DType products = products_in(recipe.compute); products != DType::f32) {
    kernel = {kernel, kernels::select_linear(products, products).name};
  }
  return {{"source", fs::weakly_canonical(model.folder).string()},
          {"files", std::move(files)},
          {"config", read_file(model.folder / "config.json")},
          {"recipe", to_json(recipe)},
          {"calibration", calibration_json(samples)},
          {"kernel", std::move(kernel)},
          {"algorithm", kAlgorithm}};
}

uint64_t output_bytes(const models::Model& model, const std::vector<Module>& modules, const Recipe& recipe) {
  uint64_t bytes = model.checkpoint.total_bytes();
  for (const Module& module : modules) {
    if (!module.kept.empty()) continue;
    for (const checkpoint::TensorSpec& spec : module_tensors(module, recipe)) bytes += bytes_of(spec);
    bytes -= static_cast<uint64_t>(module.shape[0] * module.shape[1]) * dtype_size(module.dtype);
  }
  return bytes;
}

// What is on disk is what was asked for: the folder opens, and each module is stored as it should be.
void check_written(const fs::path& folder, const std::vector<Module>& modules, const Recipe& recipe) {
  const models::Model written = models::Model::open(folder);
  for (const Module& module : modules) {
    const WeightFormat format = written.checkpoint.weight(module.weight, module.shape).format;
    const bool is_right = !module.kept.empty() ? std::holds_alternative<Dense>(format)
                          : recipe.packed()    ? std::holds_alternative<IntGroup>(format)
                                               : std::holds_alternative<Int8Channel>(format);
    DUAN_CHECK(is_right, "{} was written as {}", module.name, format_name(format));
  }
}

// What is asked for, with what "automatic" means for this model and processor.
Recipe settled(Recipe recipe, const models::Model& model) {
  DUAN_CHECK(recipe.image_weight == 1 || !recipe.propagates_error(), "weighted tokens and carried errors");
  if (!recipe.chooses_compute()) recipe.compute = engine::Compute::fp32;
  if (recipe.compute != engine::Compute::automatic) return recipe;
  engine::Options options;
  options.compute = recipe.compute;
  recipe.compute = engine::choose_precision(model.graph, engine::weights_of(model.checkpoint), options).compute;
  if (recipe.compute != engine::Compute::bf16) recipe.compute = engine::Compute::fp32;
  return recipe;
}

class Run {
 public:
  Run(const models::Model& model, const CalibrationSet* samples, const fs::path& output, const QuantizeOptions& options,
      const std::function<void(const QuantizeProgress&)>& progress)
      : model_(model),
        samples_(samples),
        output_(output),
        options_(options),
        recipe_(settled(options.recipe, model)),
        progress_(progress),
        blocks_(find_blocks(model.graph)),
        modules_(find_modules(model, blocks_, recipe_)),
        work_((check_early(), output), identity_of(model, samples, recipe_), options.restart) {}

  Json run() {
    resumed_ = work_.finished();
    if (work_.committing() != 0 && work_.committing() == inode_of(output_)) {  // killed after the output appeared
      Json report = read_json(output_ / kReportFile);
      work_.remove();
      return report;
    }
    check_output(model_.folder, output_, options_.overwrite, kReportFile);
    calibrate();
    Json report = write();
    work_.remove();
    return report;
  }

 private:
  // What needs no work folder: nothing is left behind if it fails.
  void check_early() const {
    if (recipe_.needs_samples() && samples_ == nullptr) {
      throw Error("no calibration samples", "--calibration",
                  recipe_.budget > 0 ? "--budget measures errors on them"
                  : recipe_.packed() && (recipe_.searches_scales() || recipe_.uses_grams())
                      ? fmt::format("{} measures activations on them", method_name(recipe_.method))
                  : recipe_.method == Method::int8_static ? "int8-static measures ranges on them"
                                                          : "imatrix weighs errors by them");
    }
    // Work that is there may be that of a run which was killed after its output appeared; an empty folder is all that
    // is left of one that was killed at the very end.
    std::error_code ignored;
    const fs::path work = WorkFolder::path_for(output_);
    if (!fs::exists(work, ignored) || fs::is_empty(work, ignored))
      check_output(model_.folder, output_, options_.overwrite, kReportFile);
  }

  // Whether what is there makes sense, and what is still to come has room.
  void check_work() const {
    if (work_.finished() > blocks_.size()) {
      throw Error(fmt::format("says that {} of {} blocks are finished", work_.finished(), blocks_.size()),
                  work_.path().string(), "--restart throws the unfinished work away");
    }
    if (work_.finished() == blocks_.size()) return;
    const uint64_t hidden_bytes =
        samples_ == nullptr ? 0 : static_cast<uint64_t>(samples_->tokens() * model_.config.hidden_size) * sizeof(float);
    const uint64_t needed =
        2 * output_bytes(model_, modules_, recipe_) + (recipe_.propagates_error() ? 4 : 2) * hidden_bytes;
    check_room(work_.path(), needed - std::min(needed, work_.bytes()));
  }

  void tell(const QuantizeProgress& progress) const {
    if (progress_) progress_(progress);
  }

  void calibrate() {
    std::vector<int64_t> sizes(blocks_.size(), 0);
    int64_t total = 0, done = 0;
    for (const Module& module : modules_) {
      sizes[module.block] += module.shape[0] * module.shape[1];
      total += module.shape[0] * module.shape[1];
    }
    check_work();
    BlockQuantizer quantizer(model_, blocks_, modules_, recipe_, samples_, options_.threads);
    HiddenStates hidden, rounded;
    // However this ends, nothing is written from them any more when they go.
    const std::unique_ptr<WorkFolder, void (*)(WorkFolder*)> written(&work_, [](WorkFolder* work) { work->wait(); });
    const bool goes_on = work_.finished() > 0 && work_.finished() < blocks_.size();
    if (goes_on && samples_ != nullptr) {
      hidden = work_.hidden();
      rounded = work_.rounded_hidden();
    }
    for (size_t b = 0; b < work_.finished(); ++b) done += sizes[b];
    PictureRows pictures(model_.graph, blocks_, samples_, options_.pictures);
    while (work_.finished() < blocks_.size()) {
      const size_t b = work_.finished();
      pictures.prepare(b, [&](size_t i, size_t count) {
        tell({fmt::format("picture {} of {}", i, count), false, done, total});
      });
      quantizer.run(work_, hidden, rounded, [&](double part, const char* stage) {
        work_.check();
        tell({blocks_[b].name, false, done + static_cast<int64_t>(part * static_cast<double>(sizes[b])), total, stage});
      });
      pictures.release(b);
      done += sizes[b];
    }
    work_.settle();
  }

  Json write() {
    Json records = Json::array(), pairs = Json::array();
    for (size_t b = 0; b < blocks_.size(); ++b) {
      const Json block = work_.record(b);
      for (const Json& record : block.at("modules")) records.push_back(record);
      for (const Json& pair : block.at("smoothing")) pairs.push_back(pair);
    }
    if (recipe_.budget > 0) keep_within_budget(modules_, records, model_, recipe_);

    AtomicFolder folder(output_, options_.overwrite);
    Json report;
    in_named_folder(folder, [&] { report = write_folder(folder, records, pairs); });
    return report;
  }

  Json write_folder(AtomicFolder& folder, const Json& records, Json& pairs) {
    const std::vector<OutputTensor> tensors = output_tensors(model_, modules_, recipe_, work_);
    uint64_t bytes = 0;
    for (const OutputTensor& tensor : tensors) bytes += bytes_of(tensor.spec);
    check_room(folder.path(), bytes);
    std::vector<OutputFile> files = write_shards(folder.path(), tensors, options_.max_shard_bytes, [&](uint64_t done) {
      tell({"writing", true, static_cast<int64_t>(done), static_cast<int64_t>(bytes)});
    });
    const auto write = [&](const std::string& name, std::string_view content) {
      files.push_back({name, write_whole_file(folder.path() / name, content)});
    };
    const std::string config = (model_.folder / "config.json").string();
    const std::vector<std::string> untouched = model_.vision ? matrices_of(*model_.vision) : std::vector<std::string>{};
    write("config.json",
          with_quantization_config(read_file(config), quantization_config(modules_, recipe_, untouched), config));
    for_each_companion(model_.folder, write);

    Json modules = Json::array(), file_list = Json::array();
    for (const Module& module : modules_) {
      Json entry = {{"module", module.name}};
      for (const Json& record : records) {
        if (record.at("module") == module.name) entry = record;
      }
      if (!module.kept.empty()) entry["kept"] = module.kept;
      modules.push_back(std::move(entry));
    }
    for (const OutputFile& file : files) file_list.push_back({{"name", file.name}, {"bytes", file.bytes}});
    check_written(folder.path(), modules_, recipe_);
    Json report = {{"source", {{"name", name_of(model_.folder)}, {"model_type", model_.config.model_type}}},
                   {"recipe", to_json(recipe_)},
                   {"calibration", calibration_json(samples_)},
                   {"bytes", {{"source", model_.checkpoint.total_bytes()}, {"output", bytes}}},
                   {"modules", std::move(modules)},
                   {"smoothing", std::move(pairs)},
                   {"refused", refused_json(model_.graph, recipe_.smooth_gqa)}};
    if (options_.evaluate) report["evaluation"] = options_.evaluate(folder.path());
    report["files"] = std::move(file_list);
    report["run"] = {{"seconds", std::chrono::duration<double>(Clock::now() - start_).count()},
                     {"peak_rss_bytes", engine::peak_resident()},
                     {"resumed_blocks", resumed_}};
    write(kReportFile, to_text(report, 1) + "\n");
    write(kReportPage, report_html(report));
    work_.set_committing(inode_of(folder.path()));
    folder.commit();
    return report;
  }

  const models::Model& model_;
  const CalibrationSet* samples_;
  fs::path output_;
  const QuantizeOptions& options_;
  Recipe recipe_;
  const std::function<void(const QuantizeProgress&)>& progress_;
  std::vector<Block> blocks_;
  std::vector<Module> modules_;
  WorkFolder work_;
  size_t resumed_ = 0;  // blocks that an earlier run finished
  Clock::time_point start_ = Clock::now();
};

}  // namespace

Json quantize(const models::Model& model, const CalibrationSet* samples, const fs::path& output,
              const QuantizeOptions& options, const std::function<void(const QuantizeProgress&)>& progress) {
  return Run(model, samples, output, options, progress).run();
}

}  // namespace duan::quant
