#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <optional>

#include "base/cpu.h"
#include "base/error.h"
#include "cli/commands.h"
#include "cli/image_reader.h"
#include "cli/opened_model.h"
#include "inspect/image_cost.h"
#include "inspect/kernel_choices.h"
#include "inspect/summary.h"
#include "onnx/verify.h"
#include "quant/smoothing.h"

namespace duan::cli {
namespace {

struct InspectOptions {
  ModelOptions model;
  std::string image_size;  // "WIDTHxHEIGHT"
  ImageOptions image;
  bool graph = false, kernels = false, tensors = false, smoothing = false, json = false;
};

std::string size_text(int64_t bytes) {
  const auto n = static_cast<double>(bytes);
  if (bytes >= 1'000'000'000) return fmt::format("{:.2f} GB", n * 1e-9);
  if (bytes >= 1'000'000) return fmt::format("{:.1f} MB", n * 1e-6);
  return fmt::format("{:.1f} kB", n * 1e-3);
}

std::string count_text(int64_t count) {
  const auto n = static_cast<double>(count);
  if (count >= 1'000'000'000) return fmt::format("{:.2f} B", n * 1e-9);
  if (count >= 1'000'000) return fmt::format("{:.1f} M", n * 1e-6);
  return fmt::format("{:.1f} k", n * 1e-3);
}

void print_summary(const models::Model& model, const inspect::Summary& s, const inspect::MemoryNeed& memory) {
  const checkpoint::ModelConfig& config = model.config;
  const auto line = [](std::string_view name, const std::string& value) { fmt::print("{:<13} {}\n", name, value); };
  line("model", model.folder.string());
  line("architecture", fmt::format("{} ({})", config.model_type, fmt::join(config.architectures, ", ")));
  line("shape", fmt::format("{} layers, hidden {}, intermediate {}, vocabulary {}", s.layers, s.hidden, s.intermediate,
                            s.vocab));
  line("attention", fmt::format("{} heads over {} key/value heads of {}", s.heads, s.kv_heads, s.head_dim));
  if (const auto& v = config.vision) {
    line("vision",
         fmt::format("{} blocks, hidden {}, intermediate {}, {} heads of {}, patches of {} pixels, {} to a token",
                     v->depth, v->hidden_size, v->intermediate_size, v->num_heads, v->head_dim(), v->patch_size,
                     v->merged_patches()));
  }
  line("positions", fmt::format("{}, rope {}", config.max_position_embeddings, inspect::rope_text(config.rope)));
  line("eos", fmt::format("{}", fmt::join(config.eos_token_ids, ", ")));
  line("parameters", fmt::format("{}{}", count_text(s.parameters()),
                                 s.head_tied ? ", the head is the embedding's matrix, counted once" : ""));
  for (const inspect::Part& part : s.parts) {
    line("  " + part.name,
         fmt::format("{:>9} {:>10}  {:4.1f} %", count_text(part.parameters), size_text(part.bytes),
                     100.0 * static_cast<double>(part.bytes) / static_cast<double>(s.weight_bytes())));
  }
  std::vector<std::string> dtypes;
  for (const auto& [dtype, bytes] : s.bytes_per_dtype) dtypes.push_back(fmt::format("{} {}", dtype, size_text(bytes)));
  line("weights", fmt::format("{} ({})", size_text(s.weight_bytes()), fmt::join(dtypes, ", ")));
  if (!s.unused.empty()) {
    line("unused", fmt::format("{} in {} tensors of the checkpoint: {}{}", size_text(s.unused_bytes()), s.unused.size(),
                               printable(s.unused[0].name), s.unused.size() > 1 ? ", ..." : ""));
  }
  line("memory", fmt::format("for {} positions: weights {} + KV cache {} in f32 or {} in bf16", memory.context,
                             size_text(memory.weights), size_text(memory.kv_f32), size_text(memory.kv_bf16)));
}

// A picture file, or "1920x1080".
vision::Size size_of(const std::string& text) {
  int64_t width = 0, height = 0;
  const char* end = text.data() + text.size();
  const auto [after, failed] = std::from_chars(text.data(), end, width);
  if (failed == std::errc() && after != end && *after == 'x') {
    const auto [rest, also_failed] = std::from_chars(after + 1, end, height);
    if (also_failed == std::errc() && rest == end && width > 0 && height > 0 && width <= 1 << 20 && height <= 1 << 20) {
      return {height, width};
    }
  }
  throw Error(fmt::format("\"{}\" is not a size in pixels", printable(text, 40)), "--image-size",
              "write it as 1920x1080");
}

void print_image_cost(const inspect::ImageCost& c, int64_t weights) {
  const auto line = [](std::string_view name, const std::string& value) { fmt::print("{:<13} {}\n", name, value); };
  line("image", fmt::format("{} x {} pixels, resized to {} x {}", c.size.width, c.size.height, c.resized.width,
                            c.resized.height));
  line("  tokens", fmt::format("{} of {} patches", c.tokens, c.patches));
  line("  tower", fmt::format("{} of buffers and {} of pixels while it is encoded, {} of rows kept",
                              size_text(c.tower_bytes), size_text(c.pixel_bytes), size_text(c.row_bytes)));
  line("  KV cache", size_text(c.kv_bytes));
  line("  memory", fmt::format("{} with the weights at the peak", size_text(weights + c.peak_bytes())));
}

void print_kernels(const std::vector<inspect::KernelChoice>& choices) {
  std::vector<std::string_view> isas;
  for (const Isa isa : cpu_isas()) isas.push_back(isa_name(isa));
  fmt::print("{}: {}\n", cpu_model_name().empty() ? "processor" : cpu_model_name(), fmt::join(isas, ", "));
  for (const inspect::KernelChoice& choice : choices) {
    fmt::print("{} ({}): {}\n", choice.operation, choice.operands, choice.chosen);
    for (const kernels::Rejection& rejection : choice.rejected) {
      fmt::print("    not {}: {}\n", rejection.name, rejection.reason);
    }
  }
}

void print_tensors(const models::Model& model) {
  for (const checkpoint::TensorInfo& tensor : model.checkpoint.tensors()) {
    fmt::print("{:<5} {:<18} {:>10}  {}\n", dtype_name(tensor.dtype), to_string(tensor.shape),
               size_text(static_cast<int64_t>(tensor.bytes)), printable(tensor.name, 512));
  }
}

Json tensors_json(const models::Model& model) {
  Json list = Json::array();
  for (const checkpoint::TensorInfo& tensor : model.checkpoint.tensors()) {
    list.push_back({{"name", tensor.name},
                    {"dtype", dtype_name(tensor.dtype)},
                    {"shape", tensor.shape},
                    {"bytes", tensor.bytes},
                    {"file", tensor.file.filename().string()}});
  }
  return list;
}

Json smoothing_json(const ir::Graph& graph) {
  const auto names = [&](const std::vector<ir::NodeId>& nodes) {
    Json list = Json::array();
    for (const ir::NodeId id : nodes) list.push_back(graph.node(id).name);
    return list;
  };
  const quant::Smoothing smoothing = quant::find_smoothing(graph);
  Json json = {{"pairs", Json::array()}, {"refused", Json::array()}};
  for (const quant::SmoothingPair& pair : smoothing.pairs) {
    json["pairs"].push_back({{"producer", graph.node(pair.producer).name}, {"consumers", names(pair.consumers)}});
  }
  for (const quant::SmoothingRefusal& refusal : smoothing.refused) {
    json["refused"].push_back({{"producer", refusal.producer ? Json(graph.node(*refusal.producer).name) : Json()},
                               {"consumers", names(refusal.consumers)},
                               {"reason", refusal.reason}});
  }
  return json;
}

// The graphs of a model that sees images beside its decoder's; a matrix that two of them read counts in both.
std::vector<std::pair<std::filesystem::path, onnx::ModelFacts>> image_graphs(const ort::ModelFolder& model) {
  std::vector<std::pair<std::filesystem::path, onnx::ModelFacts>> graphs;
  if (!model.images) return graphs;
  for (const auto& file : {model.images->embedding, model.images->tower}) {
    graphs.emplace_back(file, onnx::verify_file(file).facts);
  }
  return graphs;
}

// What the files say without ONNX Runtime.
void inspect_onnx(const InspectOptions& options, const ort::ModelFolder& model) {
  if (options.graph || options.kernels || options.tensors || options.smoothing) {
    throw Error("holds an ONNX model, whose graph duan does not read", model.folder.string(),
                "name the checkpoint it was exported from");
  }
  const onnx::ModelFacts facts = onnx::verify_file(model.file).facts;
  const auto beside = image_graphs(model);
  const std::vector<int64_t> eos = ort::read_generation_config(model.folder).eos_token_ids;
  if (options.json) {
    Json json = {{"engine", "onnx"},
                 {"file", model.file.string()},
                 {"nodes", facts.nodes},
                 {"weight_bytes", facts.weight_bytes},
                 {"caches_in_place", facts.caches_in_place.size()},
                 {"vocab_size", model.vocab_size},
                 {"positions", model.context},
                 {"eos_token_ids", eos}};
    for (const auto& [file, its] : beside) {
      json["image_graphs"].push_back(
          {{"file", file.string()}, {"nodes", its.nodes}, {"weight_bytes", its.weight_bytes}});
    }
    fmt::print("{}\n", to_text(json));
    return;
  }
  fmt::print("{:<13} {}, for ONNX Runtime\n", "model", model.file.string());
  fmt::print("{:<13} {} nodes\n{:<13} {}\n", "graph", facts.nodes, "weights", size_text(facts.weight_bytes));
  for (const auto& [file, its] : beside) {
    fmt::print("{:<13} {} nodes, {} in {}\n", "images", its.nodes, size_text(its.weight_bytes),
               file.filename().string());
  }
  fmt::print("{:<13} {}, vocabulary {}\n", "positions", model.context, model.vocab_size);
  fmt::print("{:<13} {}\n", "eos", fmt::join(eos, ", "));
  if (const size_t count = facts.caches_in_place.size(); count > 0) {
    fmt::print("{:<13} {} tensors, updated in place\n", "KV cache", count);
  }
}

void inspect_model(const InspectOptions& options) {
  const OpenedModel opened(options.model);
  if (opened.onnx()) return inspect_onnx(options, *opened.onnx());
  const models::Model& model = *opened.checkpoint();
  const inspect::Summary summary = inspect::summarize(model);
  const int64_t context = options.model.context > 0 ? options.model.context
                                                    : std::min(model.config.max_position_embeddings, kDefaultContext);
  const inspect::MemoryNeed memory = inspect::memory_need(model, summary, context);
  std::optional<inspect::ImageCost> cost;
  if (!options.image_size.empty()) {
    const auto preprocessor = with_options(vision::PreprocessorConfig::load(opened.folder()), options.image);
    cost = inspect::image_cost(model, preprocessor, size_of(options.image_size), opened.engine_options(options.model));
  }
  if (options.json) {
    Json json = inspect::to_json(model, summary, memory);
    if (cost) json["image"] = inspect::to_json(*cost);
    if (model.vision) json["vision_graph"] = ir::print(*model.vision);
    json["tensors"] = tensors_json(model);
    json["kernels"] = inspect::to_json(inspect::kernel_choices(model));
    json["graph"] = ir::print(model.graph);
    json["smoothing"] = smoothing_json(model.graph);
    fmt::print("{}\n", to_text(json));
    return;
  }
  if (options.graph) {
    fmt::print("{}", ir::print(model.graph));
    if (model.vision) fmt::print("\n{}", ir::print(*model.vision));
  }
  if (options.kernels) print_kernels(inspect::kernel_choices(model));
  if (options.tensors) print_tensors(model);
  if (options.smoothing) fmt::print("{}", quant::print(model.graph, quant::find_smoothing(model.graph)));
  if (!options.graph && !options.kernels && !options.tensors && !options.smoothing)
    print_summary(model, summary, memory);
  if (cost) print_image_cost(*cost, summary.weight_bytes());
}

}  // namespace

void add_inspect(CLI::App& app) {
  auto options = std::make_shared<InspectOptions>();
  CLI::App* command = app.add_subcommand("inspect", "Show what a model is made of and what it needs");
  add_model_argument(*command, options->model);
  command->add_option("-c,--ctx-size", options->model.context, "Positions to state the memory for")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 40));
  command->add_option("--image-size", options->image_size, "Tokens and memory of a picture of so many pixels")
      ->type_name("WIDTHxHEIGHT");
  add_pixel_options(*command, options->image);
  command->add_flag("--graph", options->graph, "The graph, one node a line");
  command->add_flag("--kernels", options->kernels, "Which kernels run on this machine, and why not the others");
  command->add_flag("--tensors", options->tensors, "The tensors of the checkpoint");
  command->add_flag("--smoothing", options->smoothing,
                    "Which layers may exchange per-channel scales when quantized, and why the others may not");
  command->add_flag("--json", options->json, "Everything as one JSON object");
  command->footer(
      "Examples: duan inspect models/demo --kernels\n"
      "          duan inspect Qwen3-VL-2B --image-size 1920x1080");
  command->callback([options] { inspect_model(*options); });
}

}  // namespace duan::cli
