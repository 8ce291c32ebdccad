#include "eval/compare.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <map>
#include <numeric>

#include "base/error.h"
#include "checkpoint/safetensors.h"

namespace duan::eval {
namespace {

using checkpoint::SafetensorsFile;
using checkpoint::TensorView;

std::vector<int64_t> read_ids(const TensorView& tensor, const std::string& where) {
  if (tensor.dtype != DType::i64 || tensor.shape.empty() || tensor.shape.size() > 2) {
    throw Error("ids must be I64 [n] or [batch, n]", where);
  }
  std::vector<int64_t> ids(tensor.bytes / sizeof(int64_t));
  if (!ids.empty()) std::memcpy(ids.data(), tensor.data, ids.size() * sizeof(int64_t));
  return ids;
}

std::vector<float> read_floats(const TensorView& tensor, const std::string& where) {
  if (tensor.dtype != DType::f32) throw Error("expected F32", where);
  std::vector<float> values(tensor.bytes / sizeof(float));
  to_float(tensor.dtype, tensor.data, static_cast<int64_t>(values.size()), values.data());
  return values;
}

int64_t argmax(std::span<const float> row) { return std::max_element(row.begin(), row.end()) - row.begin(); }

// Golden rows of logits by position.
struct GoldenLogits {
  std::vector<float> values, last;
  int64_t stride = 1;

  const float* at(int64_t position, int64_t tokens, int64_t vocab) const {
    if (!values.empty() && position % stride == 0) return values.data() + position / stride * vocab;
    if (position == tokens - 1 && !last.empty()) return last.data();
    return nullptr;
  }
};

std::vector<float> read_last(const SafetensorsFile& file, int64_t vocab, const std::string& where) {
  std::vector<float> last = read_floats(*file.find("logits_last"), where);
  if (static_cast<int64_t>(last.size()) != vocab) throw Error("logits_last is not [vocab]", where);
  return last;
}

GoldenLogits read_logits(const SafetensorsFile& file, int64_t tokens, int64_t vocab, const std::string& where) {
  const auto logits = file.find("logits");
  GoldenLogits golden;
  if (!logits && file.find("logits_last")) {
    golden.last = read_last(file, vocab, where);
    golden.stride = tokens;  // none but the last
    return golden;
  }
  if (!logits) throw Error("has no tensor \"logits\"", where);
  const size_t axes = logits->shape.size();
  const int64_t rows = axes == 2 ? logits->shape[0] : axes == 3 ? logits->shape[0] * logits->shape[1] : -1;
  if (axes == 2 && rows == (tokens + 3) / 4 && rows != tokens) golden.stride = 4;
  if ((rows != tokens && golden.stride == 1) || logits->shape.back() != vocab) {
    throw Error(
        fmt::format("logits {} do not fit {} tokens and a vocabulary of {}", to_string(logits->shape), tokens, vocab),
        where);
  }
  golden.values = read_floats(*logits, where);
  if (file.find("logits_last")) golden.last = read_last(file, vocab, where);
  return golden;
}

// Which value of the graph a golden's layer tensor shows: the boundary of a decoder layer is the first input of the
// first node below its scope.
std::map<ir::ValueId, std::string> boundary_values(const ir::Graph& graph) {
  std::map<ir::ValueId, std::string> found;
  std::string previous;
  for (const ir::Node& node : graph.nodes) {
    const size_t at = node.name.find("layers.");
    const size_t digits = at == std::string::npos ? at : at + 7;
    const std::string layer =
        at == std::string::npos ? "" : node.name.substr(digits, node.name.find('.', digits) - digits);
    if (!layer.empty() && layer != previous) found[node.inputs[0]] = "layer_in." + layer;
    if (layer.empty() && !previous.empty() && std::holds_alternative<ir::RmsNorm>(node.op)) {
      found[node.inputs[0]] = "last_layer_out";
      found[node.output] = "final_norm";
    }
    previous = layer;
  }
  return found;
}

double max_difference(const float* a, const float* b, size_t count) {
  double worst = 0;
  for (size_t i = 0; i < count; ++i) {
    const double difference = std::abs(static_cast<double>(a[i]) - b[i]);
    if (!(difference <= worst)) worst = difference;  // a NaN counts as worst
  }
  return worst;
}

// The first node, in the graph's order, whose values differ between two engines.
std::string first_differing_node(const ir::Graph& graph, engine::Engine& engine, engine::Engine& peer,
                                 std::span<const int64_t> ids, double tolerance) {
  std::map<ir::ValueId, std::vector<float>> expected;
  peer.truncate(0);
  peer.set_probe([&](ir::ValueId value, int64_t, int64_t rows, int64_t width, const float* data) {
    auto& values = expected[value];
    values.insert(values.end(), data, data + rows * width);
  });
  peer.forward_all(ids, [](int64_t, std::span<const float>) {});
  peer.set_probe({});

  std::map<ir::ValueId, std::vector<float>> actual;
  engine.truncate(0);
  engine.set_probe([&](ir::ValueId value, int64_t, int64_t rows, int64_t width, const float* data) {
    auto& values = actual[value];
    values.insert(values.end(), data, data + rows * width);
  });
  engine.forward_all(ids, [](int64_t, std::span<const float>) {});
  engine.set_probe({});

  for (const ir::Node& node : graph.nodes) {
    const auto a = actual.find(node.output), e = expected.find(node.output);
    if (a == actual.end() || e == expected.end() || a->second.size() != e->second.size()) continue;
    if (!(max_difference(a->second.data(), e->second.data(), a->second.size()) <= tolerance)) return node.name;
  }
  return "";
}

// The first of a golden's tensors about images that differs, or "".
std::string differing_image_tensor(const SafetensorsFile& file, const CaseImages& images,
                                   const engine::SequenceImages& places, int64_t tokens, double tolerance,
                                   const std::string& where) {
  const auto differs = [&](const std::string& name, const auto& rows_of) {
    const auto tensor = file.find(name);
    if (!tensor) return false;
    const std::vector<float> golden = read_floats(*tensor, where);
    std::vector<float> made;
    for (const auto& image : images.images) {
      const std::vector<float>& rows = rows_of(*image);
      made.insert(made.end(), rows.begin(), rows.end());
    }
    if (made.size() != golden.size()) throw Error(name + " does not fit the images", where);
    return !(max_difference(made.data(), golden.data(), made.size()) <= tolerance);
  };
  if (differs(
          "vision_features", [](const auto& image) -> const auto& { return image.embeds; }))
    return "vision_features";
  for (size_t k = 0; !images.images.empty() && k < images.images[0]->deepstack.size(); ++k) {
    const std::string name = "deepstack." + std::to_string(k);
    if (differs(
            name, [&](const auto& image) -> const auto& { return image.deepstack[k]; }))
      return name;
  }
  if (const auto tensor = file.find("position_ids")) {
    const std::vector<int64_t> golden = read_ids(*tensor, where);
    if (static_cast<int64_t>(golden.size()) != 3 * tokens) throw Error("position_ids is not [3, n]", where);
    for (int64_t i = 0; i < tokens; ++i) {
      const std::array<int64_t, 3> position = places.position(i);
      for (int64_t axis = 0; axis < 3; ++axis) {
        if (position[static_cast<size_t>(axis)] != golden[static_cast<size_t>(axis * tokens + i)])
          return "position_ids";
      }
    }
  }
  if (const auto tensor = file.find("rope_delta")) {
    if (read_ids(*tensor, where).at(0) != places.position(tokens)[0] - tokens) return "rope_delta";
  }
  return "";
}

// Without a graph there are no layers and no nodes to name.
Comparison run_case(const ir::Graph* graph, int64_t vocab, engine::Engine& engine, const std::filesystem::path& golden,
                    double tolerance, engine::Engine* peer, const CaseImages& images,
                    const checkpoint::ImageTokens& pads) {
  const std::string where = golden.string();
  const SafetensorsFile file(golden);
  const auto ids_tensor = file.find("input_ids");
  if (!ids_tensor) throw Error("has no tensor \"input_ids\"", where);
  const std::vector<int64_t> ids = read_ids(*ids_tensor, where);
  const auto tokens = static_cast<int64_t>(ids.size());
  const int64_t sequence = ids_tensor->shape.back();  // tokens of one; a batch runs one after the other
  if (sequence == 0) throw Error("\"input_ids\" is empty", where);
  const GoldenLogits expected = read_logits(file, tokens, vocab, where);

  Comparison result;
  double squared_difference = 0, squared = 0, sum = 0;
  int64_t positions = 0, agreeing = 0, count = 0;
  std::string divergent_tensor;

  std::shared_ptr<const engine::SequenceImages> places;
  if (!images.empty()) {
    try {
      places = std::make_shared<engine::SequenceImages>(
          engine::SequenceImages::place(ids, std::array{engine::SequenceImages::Kind{pads.image, images.images},
                                                        engine::SequenceImages::Kind{pads.video, images.frames}}));
    } catch (const Error& e) {
      throw e.at(where);
    }
    divergent_tensor = differing_image_tensor(file, images, *places, tokens, tolerance, where);
  }
  engine.set_images(places);
  if (peer != nullptr) peer->set_images(places);

  // Layer tensors arrive chunk by chunk, and within the tail of the graph slice by slice.
  const std::map<ir::ValueId, std::string> boundaries =
      graph != nullptr ? boundary_values(*graph) : std::map<ir::ValueId, std::string>{};
  std::map<ir::ValueId, std::vector<float>> seen;
  engine.truncate(0);
  engine.set_probe([&](ir::ValueId value, int64_t, int64_t rows, int64_t width, const float* data) {
    const auto boundary = boundaries.find(value);
    if (boundary == boundaries.end() || !file.find(boundary->second)) return;
    auto& values = seen[value];
    values.insert(values.end(), data, data + rows * width);
  });
  int64_t greedy_first = 0;
  int64_t first = 0;
  const auto judge = [&](int64_t in_sequence, std::span<const float> logits) {
    const int64_t index = first + in_sequence;
    if (index == tokens - 1) greedy_first = argmax(logits);
    const float* row = expected.at(index, tokens, vocab);
    if (row == nullptr) return;
    const double worst = max_difference(logits.data(), row, logits.size());
    if (!(worst <= result.max_abs)) result.max_abs = worst;
    for (size_t i = 0; i < logits.size(); ++i) {
      const double difference = static_cast<double>(logits[i]) - row[i];
      squared_difference += difference * difference;
      squared += static_cast<double>(row[i]) * row[i];
      sum += row[i];
    }
    count += static_cast<int64_t>(logits.size());
    ++positions;
    if (argmax(logits) == argmax({row, logits.size()})) ++agreeing;
  };
  for (; first < tokens; first += sequence) {
    engine.truncate(0);
    engine.forward_all(std::span(ids).subspan(static_cast<size_t>(first), static_cast<size_t>(sequence)), judge);
  }
  engine.set_probe({});

  for (const ir::Node& node : graph != nullptr ? graph->nodes : std::vector<ir::Node>{}) {
    const auto values = seen.find(node.output);
    if (values == seen.end() || !divergent_tensor.empty()) continue;
    const std::string& name = boundaries.at(node.output);
    const std::vector<float> rows = read_floats(*file.find(name), where);
    if (rows.size() != values->second.size()) throw Error(name + " does not fit the model", where);
    if (!(max_difference(values->second.data(), rows.data(), rows.size()) <= tolerance)) divergent_tensor = name;
  }

  const double mean = sum / static_cast<double>(count);
  result.logit_std = std::sqrt(squared / static_cast<double>(count) - mean * mean);
  result.rms = std::sqrt(squared_difference / static_cast<double>(count));
  result.rel_l2 = std::sqrt(squared_difference / squared);
  result.top1 = static_cast<double>(agreeing) / static_cast<double>(positions);

  if (const auto greedy_tensor = file.find("greedy_ids")) {
    const std::vector<int64_t> greedy = read_ids(*greedy_tensor, where);
    int64_t id = greedy_first;
    for (size_t i = 0; i < greedy.size() && result.greedy_equal; ++i) {
      result.greedy_equal = id == greedy[i];
      if (i + 1 < greedy.size()) id = argmax(engine.forward(std::span(&id, 1)));
    }
  }
  result.first_divergence = divergent_tensor;
  if (peer != nullptr && !(result.max_abs <= tolerance)) {
    const std::string node =
        first_differing_node(*graph, engine, *peer, std::span(ids).last(static_cast<size_t>(sequence)), tolerance);
    if (!node.empty()) result.first_divergence = node;
  }
  engine.truncate(0);
  engine.set_images(nullptr);
  if (peer != nullptr) peer->set_images(nullptr);
  return result;
}

}  // namespace

Comparison compare(const models::Model& model, engine::Engine& engine, const std::filesystem::path& golden,
                   double tolerance, engine::Engine* peer, const CaseImages& images) {
  const auto pads = model.config.image_tokens.value_or(checkpoint::ImageTokens{});
  return run_case(&model.graph, model.config.vocab_size, engine, golden, tolerance, peer, images, pads);
}

Comparison compare(const checkpoint::ModelConfig& config, engine::Engine& engine, const std::filesystem::path& golden,
                   double tolerance, const CaseImages& images) {
  return run_case(nullptr, config.vocab_size, engine, golden, tolerance, nullptr, images,
                  config.image_tokens.value_or(checkpoint::ImageTokens{}));
}

Comparison compare(int64_t vocab, engine::Engine& engine, const std::filesystem::path& golden, double tolerance) {
  return run_case(nullptr, vocab, engine, golden, tolerance, nullptr, {}, {});
}

Json to_json(const Comparison& c) {
  return {{"max_abs", c.max_abs},
          {"rel_l2", c.rel_l2},
          {"top1", c.top1},
          {"greedy_equal", c.greedy_equal},
          {"logit_std", c.logit_std},
          {"max_abs_over_std", c.max_abs / c.logit_std},
          {"rms_over_std", c.rms / c.logit_std},
          {"first_divergence", c.first_divergence.empty() ? Json(nullptr) : Json(c.first_divergence)}};
}

}  // namespace duan::eval
