// What a graph is handed for each row of a chunk.
#pragma once

#include <cstdint>
#include <span>
#include <variant>
#include <vector>

#include "engine/image_encoder.h"
#include "engine/sequence_images.h"
#include "ir/graph.h"

namespace duan::engine {

// Of one input, [rows, width].
using InputRows = std::variant<std::span<const int64_t>, std::span<const float>>;

// Which of a graph's inputs (index into Graph::inputs) a value is. Throws InternalError if it is none.
size_t input_index(const ir::Graph& graph, ir::ValueId value);

// The inputs of a decoder, or of a part of one.
class DecoderInputs {
 public:
  explicit DecoderInputs(const ir::Graph& graph) : graph_(graph) {}

  // For the tokens from `position` of the sequence on: their ids, or the rows [tokens, width] of the value that a part
  // of a graph is handed. Without images every token is text. Valid until the next call, and as long as the arguments.
  const std::vector<InputRows>& of(std::span<const int64_t> ids, int64_t position, const SequenceImages* images);
  const std::vector<InputRows>& of(std::span<const float> handed, int64_t position, const SequenceImages* images);

  // The float value a part of a graph is handed; -1 if it starts with token ids.
  static ir::ValueId handed_value(const ir::Graph& graph);
  // Whether the graph takes rows of images.
  static bool sees_images(const ir::Graph& graph);
  // Which of them: the embeddings, and levels of deepstack.
  static bool reads_embeds(const ir::Graph& graph);
  static std::vector<int64_t> deepstack_levels(const ir::Graph& graph);

 private:
  struct Buffer {
    std::vector<int64_t> numbers;
    std::vector<float> floats;
  };
  const std::vector<InputRows>& fill(std::span<const int64_t> ids, std::span<const float> handed, int64_t tokens,
                                     int64_t position, const SequenceImages* images);

  const ir::Graph& graph_;
  std::vector<Buffer> buffers_;
  std::vector<InputRows> rows_;
};

// The inputs of a vision tower for one image. Throws InternalError if they are not rows of the same patches.
std::vector<InputRows> encoder_inputs(const ir::Graph& graph, const ImagePatches& image);

}  // namespace duan::engine
