#include "quant/quantize.h"

#include <sys/stat.h>

#include <cstring>
#include <memory>

#include "base/atomic_file.h"
#include "base/atomic_folder.h"
#include "base/error.h"
#include "base/mapped_file.h"
#include "checkpoint/companion_files.h"
#include "kernels/linear.h"
#include "quant/block_quantizer.h"
#include "quant/modules.h"
#include "quant/output_tensors.h"
#include "quant/quantized_checkpoint.h"
#include "quant/work_folder.h"

namespace duan::quant {
namespace {
namespace fs = std::filesystem;

uint64_t inode_of(const fs::path& path) {  // 0 if it is not there
  struct stat info {};
  return ::stat(path.c_str(), &info) == 0 ? info.st_ino : 0;
}

bool is_there(const fs::path& path) {
  std::error_code ignored;
  return fs::exists(path, ignored);
}

// FNV-1a, for telling calibration sets apart.
std::string hash_of(const CalibrationSet& samples) {
  uint64_t hash = 0xcbf29ce484222325u;
  const auto add = [&](uint64_t number) {
    for (int shift = 0; shift < 64; shift += 8) hash = (hash ^ (number >> shift & 0xFF)) * 0x100000001b3u;
  };
  for (const std::vector<int64_t>& sample : samples.samples) {
    add(sample.size());
    for (const int64_t id : sample) add(static_cast<uint64_t>(id));
  }
  return fmt::format("{:016x}", hash);
}

Json calibration_json(const CalibrationSet* samples) {
  if (samples == nullptr) return nullptr;
  return {{"samples", samples->samples.size()}, {"tokens", samples->tokens()}, {"hash", hash_of(*samples)}};
}

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
  return {{"source", fs::weakly_canonical(model.folder).string()},
          {"files", std::move(files)},
          {"config", read_file(model.folder / "config.json")},
          {"recipe", to_json(recipe)},
          {"calibration", calibration_json(samples)},
          // Sums in floating point differ between instruction sets.
          {"kernel", kernels::select_linear(DType::f32, DType::f32).name}};
}

// Replacing removes all that the folder holds, so it must be what a run made.
void check_output(const models::Model& model, const fs::path& output, bool overwrite) {
  std::error_code ignored;
  if (is_there(output) && fs::equivalent(output, model.folder, ignored)) {
    throw Error("is the folder of the model itself", output.string(), "choose another folder");
  }
  if (!is_there(output)) return;
  if (!fs::is_directory(output, ignored)) throw Error("is there and is not a folder", output.string());
  if (fs::is_empty(output, ignored)) return;
  if (!overwrite) {
    throw Error("the folder is not empty", output.string(), "choose another one, or say --overwrite to replace it");
  }
  if (!is_there(output / kReportFile)) {
    throw Error(fmt::format("is not empty and holds no {}; it is not replaced", kReportFile), output.string(),
                "choose another folder");
  }
}

void check_room(const fs::path& folder, uint64_t needed) {
  std::error_code error;
  const fs::space_info space = fs::space(folder, error);
  if (error || space.available >= needed) return;
  throw Error(fmt::format("no room: {:.1f} MB are needed and {:.1f} MB free", static_cast<double>(needed) * 1e-6,
                          static_cast<double>(space.available) * 1e-6),
              folder.string());
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

class Run {
 public:
  Run(const models::Model& model, const CalibrationSet* samples, const fs::path& output, const QuantizeOptions& options,
      const std::function<void(const QuantizeProgress&)>& progress)
      : model_(model),
        samples_(samples),
        output_(output),
        options_(options),
        recipe_(options.recipe),
        progress_(progress),
        blocks_(find_blocks(model.graph)),
        modules_(find_modules(model, blocks_, options.recipe)),
        work_((check_early(), output), identity_of(model, samples, options.recipe), options.restart) {}

  Json run() {
    if (work_.committing() != 0 && work_.committing() == inode_of(output_)) {  // killed after the output appeared
      Json report = read_json(output_ / kReportFile);
      work_.remove();
      return report;
    }
    check_output(model_, output_, options_.overwrite);
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
    if (!is_there(WorkFolder::path_for(output_))) check_output(model_, output_, options_.overwrite);
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
    const uint64_t hidden_bytes =
        samples_ == nullptr ? 0 : static_cast<uint64_t>(samples_->tokens() * model_.config.hidden_size) * sizeof(float);
    if (work_.finished() == 0) {
      check_room(work_.path(), 2 * output_bytes(model_, modules_, recipe_) + 2 * hidden_bytes);
    }
    BlockQuantizer quantizer(model_, blocks_, modules_, recipe_, samples_, options_.threads);
    HiddenStates hidden;
    const bool goes_on = work_.finished() > 0 && work_.finished() < blocks_.size();
    if (goes_on && samples_ != nullptr) hidden = work_.hidden();
    for (size_t b = 0; b < work_.finished(); ++b) done += sizes[b];
    while (work_.finished() < blocks_.size()) {
      const size_t b = work_.finished();
      quantizer.run(work_, hidden, [&](double part, const char* stage) {
        tell({blocks_[b].name, false, done + static_cast<int64_t>(part * static_cast<double>(sizes[b])), total, stage});
      });
      done += sizes[b];
    }
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
    try {
      return write_folder(folder, records, pairs);
    } catch (const Error& error) {
      // Told of the folder the user named.
      const std::string& inside = folder.path().native();
      if (!error.where().starts_with(inside)) throw;
      throw Error(error.message(), folder.target().native() + error.where().substr(inside.size()), error.hint());
    }
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
      AtomicFile file(folder.path() / name, content.size());
      file.write(content);
      file.commit();
      files.push_back({name, content.size()});
    };
    const std::string config = (model_.folder / "config.json").string();
    const std::vector<std::string> untouched = model_.vision ? matrices_of(*model_.vision) : std::vector<std::string>{};
    write("config.json",
          with_quantization_config(read_file(config), quantization_config(modules_, recipe_, untouched), config));
    for (const char* name : checkpoint::kCompanionFiles) {
      if (!is_there(model_.folder / name)) continue;
      const MappedFile from(model_.folder / name);
      write(name, {reinterpret_cast<const char*>(from.bytes().data()), from.bytes().size()});
    }

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
    Json report = {{"recipe", to_json(recipe_)},
                   {"calibration", calibration_json(samples_)},
                   {"bytes", {{"source", model_.checkpoint.total_bytes()}, {"output", bytes}}},
                   {"modules", std::move(modules)},
                   {"smoothing", std::move(pairs)},
                   {"files", std::move(file_list)}};
    write(kReportFile, to_text(report, 1) + "\n");
    check_written(folder.path(), modules_, recipe_);
    work_.set_committing(inode_of(folder.path()));
    folder.commit();
    return report;
  }

  const models::Model& model_;
  const CalibrationSet* samples_;
  fs::path output_;
  const QuantizeOptions& options_;
  const Recipe& recipe_;
  const std::function<void(const QuantizeProgress&)>& progress_;
  std::vector<Block> blocks_;
  std::vector<Module> modules_;
  WorkFolder work_;
};

}  // namespace

Json quantize(const models::Model& model, const CalibrationSet* samples, const fs::path& output,
              const QuantizeOptions& options, const std::function<void(const QuantizeProgress&)>& progress) {
  return Run(model, samples, output, options, progress).run();
}

}  // namespace duan::quant
