#include "engine/inputs.h"

#include <algorithm>
#include <charconv>

#include "base/error.h"

namespace duan::engine {
namespace {

// k of "deepstack_embeds.<k>"; -1 for other names.
int64_t deepstack_level(std::string_view name) {
  if (!name.starts_with(ir::kDeepstackEmbeds)) return -1;
  name.remove_prefix(ir::kDeepstackEmbeds.size());
  int64_t level = -1;
  const char* end = name.data() + name.size();
  // What is made of such an input is named after it: "deepstack_embeds.0.add".
  return std::from_chars(name.data(), end, level).ptr == end ? level : -1;
}

bool is_of_images(std::string_view name) {
  return name == ir::kImageMask || name == ir::kImageEmbeds || deepstack_level(name) >= 0;
}

}  // namespace

size_t input_index(const ir::Graph& graph, ir::ValueId value) {
  const auto found = std::find(graph.inputs.begin(), graph.inputs.end(), value);
  DUAN_CHECK(found != graph.inputs.end(), "{} is no input of {}", graph.value(value).name, graph.name);
  return static_cast<size_t>(found - graph.inputs.begin());
}

ir::ValueId DecoderInputs::handed_value(const ir::Graph& graph) {
  for (const ir::ValueId input : graph.inputs) {
    if (graph.value(input).type.dtype == DType::f32 && !is_of_images(graph.value(input).name)) return input;
  }
  return -1;
}

bool DecoderInputs::sees_images(const ir::Graph& graph) {
  return std::any_of(graph.inputs.begin(), graph.inputs.end(),
                     [&](ir::ValueId input) { return is_of_images(graph.value(input).name); });
}

const std::vector<InputRows>& DecoderInputs::of(std::span<const int64_t> ids, int64_t position,
                                                const SequenceImages* images) {
  DUAN_CHECK(handed_value(graph_) < 0, "{} is handed a value, not ids", graph_.name);
  return fill(ids, {}, static_cast<int64_t>(ids.size()), position, images);
}

bool DecoderInputs::reads_embeds(const ir::Graph& graph) {
  return std::any_of(graph.inputs.begin(), graph.inputs.end(),
                     [&](ir::ValueId input) { return graph.value(input).name == ir::kImageEmbeds; });
}

std::vector<int64_t> DecoderInputs::deepstack_levels(const ir::Graph& graph) {
  std::vector<int64_t> levels;
  for (const ir::ValueId input : graph.inputs) {
    if (const int64_t level = deepstack_level(graph.value(input).name); level >= 0) levels.push_back(level);
  }
  return levels;
}

const std::vector<InputRows>& DecoderInputs::of(std::span<const float> handed, int64_t position,
                                                const SequenceImages* images) {
  const ir::ValueId value = handed_value(graph_);
  DUAN_CHECK(value >= 0, "{} starts with ids", graph_.name);
  const auto width = static_cast<size_t>(ir::width(graph_.value(value).type));
  DUAN_CHECK(handed.size() % width == 0, "{} floats are not rows of {}", handed.size(), width);
  return fill({}, handed, static_cast<int64_t>(handed.size() / width), position, images);
}

const std::vector<InputRows>& DecoderInputs::fill(std::span<const int64_t> ids, std::span<const float> handed,
                                                  int64_t tokens, int64_t position, const SequenceImages* images) {
  buffers_.resize(graph_.inputs.size());
  rows_.assign(graph_.inputs.size(), {});
  for (size_t i = 0; i < graph_.inputs.size(); ++i) {
    const ir::ValueInfo& input = graph_.value(graph_.inputs[i]);
    const int64_t width = ir::width(input.type);
    Buffer& buffer = buffers_[i];
    if (input.name == ir::kInputIds) {
      rows_[i] = ids;
    } else if (input.name == ir::kPositionIds) {
      buffer.numbers.resize(static_cast<size_t>(tokens * width));
      for (int64_t t = 0; t < tokens; ++t) {
        const int64_t at = position + t;
        const std::array<int64_t, 3> place = images == nullptr ? std::array{at, at, at} : images->position(at);
        std::copy_n(place.begin(), width, buffer.numbers.begin() + t * width);
      }
      rows_[i] = buffer.numbers;
    } else if (input.name == ir::kImageMask) {
      buffer.numbers.assign(static_cast<size_t>(tokens), 0);
      for (int64_t t = 0; images != nullptr && t < tokens; ++t) {
        buffer.numbers[static_cast<size_t>(t)] = images->row(position + t).first != nullptr ? 1 : 0;
      }
      rows_[i] = buffer.numbers;
    } else if (is_of_images(input.name)) {
      const int64_t level = deepstack_level(input.name);
      buffer.floats.assign(static_cast<size_t>(tokens * width), 0.0f);
      for (int64_t t = 0; images != nullptr && t < tokens; ++t) {
        const auto [features, row] = images->row(position + t);
        if (features == nullptr) continue;
        const std::vector<float>& from =
            level < 0 ? features->embeds : features->deepstack.at(static_cast<size_t>(level));
        std::copy_n(from.begin() + row * width, width, buffer.floats.begin() + t * width);
      }
      rows_[i] = buffer.floats;
    } else {
      DUAN_CHECK(!handed.empty(), "{} asks for {}", graph_.name, input.name);
      rows_[i] = handed;
    }
  }
  return rows_;
}

std::vector<InputRows> encoder_inputs(const ir::Graph& graph, const ImagePatches& image) {
  std::vector<InputRows> rows;
  const size_t patches = image.positions.size() / 2;
  for (const ir::ValueId id : graph.inputs) {
    const ir::ValueInfo& input = graph.value(id);
    if (input.name == ir::kPixelValues) rows.emplace_back(image.pixels);
    if (input.name == ir::kPatchPositions) rows.emplace_back(image.positions);
    if (input.name == ir::kTableRows) rows.emplace_back(image.table_rows);
    if (input.name == ir::kTableShares) rows.emplace_back(image.table_shares);
    const size_t count = rows.empty() ? 0 : std::visit([](const auto& span) { return span.size(); }, rows.back());
    DUAN_CHECK(count == patches * static_cast<size_t>(ir::width(input.type)), "{} numbers of {} for {} patches", count,
               input.name, patches);
  }
  return rows;
}

}  // namespace duan::engine
