// A session of ONNX Runtime as an engine: one sequence, its KV cache where the graph has one, and the logits.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "engine/engine.h"
#include "engine/image_encoder.h"
#include "ort/model_folder.h"

namespace duan::ort {

struct Options {
  int threads = 0;      // within one operator; 0: one per processor
  int64_t context = 0;  // positions the sequence may have; > 0
  int64_t chunk = 512;  // tokens a forward pass takes at once; longer prompts run in several
  // Arithmetic of products with 4- and 8-bit weights that are dequantized by block: 0 or 1 fp32, 4 int8. Nothing:
  // ONNX Runtime's choice, 4. MatMulNBits nodes of the file itself state theirs, and keep it.
  std::optional<int> accuracy_level;
};

// The file is checked by onnx::verify_file before ONNX Runtime reads it, and its external data for changes afterwards.
//
// A KV cache that the graph updates in place is one buffer of the whole context, bound as past and as present; of any
// other, what a pass returns is handed to the next. Neither is copied for a token; truncate() copies the latter kind
// once. A graph without a cache computes the whole sequence in every pass. Where num_logits_to_keep is an input, only
// logits that are asked for are computed. A graph that yields the last position's alone runs forward_all token by
// token. Probes see nothing. compute() is fp16 where weights are, else fp32; memory() knows no buffers of activations.
//
// Throws Error: no ONNX Runtime, a file that is not what verify_file demands or ONNX Runtime refuses, inputs and
// outputs that are not a decoder's, sizes that do not fit the folder's configuration, a cache larger than the machine.
//
// Of a decoder that sees images the embeddings are a session of their own, in which rows of images are put in place of
// those of their tokens. set_images() throws Error for rows of another tower.
std::unique_ptr<engine::Engine> make_session(const ModelFolder& folder, const Options& options);

// The tower beside a decoder that sees images: options.threads counts. Of the patches it takes pixels and the extents,
// no positions. encode() throws Error if the graph returns something else than rows for the decoder, or what is not
// finite. Probes see nothing. Throws Error as make_session, and if the folder has no tower.
std::unique_ptr<engine::ImageEncoder> make_encoder(const ModelFolder& folder, const Options& options);

}  // namespace duan::ort
