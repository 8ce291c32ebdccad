// The rows that a vision tower makes of calibration pictures, in memory while blocks read them.
#pragma once

#include <functional>
#include <vector>

#include "ir/graph.h"
#include "quant/calibration.h"
#include "quant/modules.h"

namespace duan::quant {

// Memory: 4 bytes for each number of the rows of all pictures, [tokens, width], once for the embeddings and once for
// each level of deepstack; each is dropped after the last block that reads it.
class PictureRows {
 public:
  // `samples`, whose pictures get and lose their rows, and `reader` must outlive it. Both may be nullptr if no sample
  // has a picture.
  PictureRows(const ir::Graph& graph, const std::vector<Block>& blocks, const CalibrationSet* samples,
              PictureReader* reader);

  // Before a block is run: the tower runs once for each picture, unless neither this nor a later block reads its rows.
  // `progress` sees the pictures done; it may throw. Throws Error naming the sample and the picture.
  void prepare(size_t block, const std::function<void(size_t done, size_t total)>& progress);

  // After it has run.
  void release(size_t block);

 private:
  size_t embeds_until_ = 0;                // blocks before this one read them
  std::vector<size_t> deepstack_until_{};  // the same by level
  const CalibrationSet* samples_;
  PictureReader* reader_;
  bool encoded_ = false;
};

}  // namespace duan::quant
