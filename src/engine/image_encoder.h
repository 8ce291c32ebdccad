// Running a vision tower: the patches of one image in, rows for the decoder out.
#pragma once

#include <memory>
#include <span>

#include "engine/engine.h"
#include "engine/sequence_images.h"

namespace duan::engine {

// One image, or one pair of frames, as the tower's graph takes it (ir/graph.h); n patches in block-major order.
struct ImagePatches {
  int64_t rows, columns;                // of merged patches
  std::span<const float> pixels;        // [n, patch values]
  std::span<const int64_t> positions;   // [n, 2]: (y, x)
  std::span<const int64_t> table_rows;  // [n, 4]
  std::span<const float> table_shares;  // [n, 4]
};

class ImageEncoder {
 public:
  virtual ~ImageEncoder() = default;

  // Throws Error if what the tower makes is not finite.
  virtual ImageFeatures encode(const ImagePatches& patches) = 0;
  virtual void set_probe(Probe probe) = 0;
};

// Op by op in fp32. The graph and checkpoint must outlive the encoder.
std::unique_ptr<ImageEncoder> make_reference_encoder(const ir::Graph& graph, const checkpoint::Checkpoint& checkpoint);

// The planned one: options.threads, compute and disabled_fusions count. Its buffers live while an image is encoded.
std::unique_ptr<ImageEncoder> make_native_encoder(const ir::Graph& graph, const checkpoint::Checkpoint& checkpoint,
                                                  const Options& options);

// Bytes of the buffers that make_native_encoder's takes for an image of so many patches.
int64_t encoder_bytes(const ir::Graph& graph, const checkpoint::Checkpoint& checkpoint, const Options& options,
                      int64_t patches);

}  // namespace duan::engine
