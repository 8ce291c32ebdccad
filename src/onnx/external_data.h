// Large tensors live in one file beside the model, each at a multiple of 4096 bytes: a reader can map them. Those
// below 64 KiB stand behind the others, at multiples of 64 bytes: pages for each would be mostly padding. Models that
// belong together share the file, and in it what has the same name, type and shape in several of them: a matrix that
// both embeds tokens and turns hidden states into logits is there once.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "base/atomic_file.h"
#include "onnx/model.h"

namespace duan::onnx {

inline constexpr uint64_t kPageBytes = 4096, kSmallBytes = uint64_t{64} * 1024, kSmallAlignment = 64;

// Called with the bytes written so far and in total.
using Progress = std::function<void(uint64_t done, uint64_t total)>;

class ExternalData {
 public:
  // Gives every external tensor of the models its place in the file `location` (a plain name), and records it in them.
  // They must outlive this.
  ExternalData(std::span<Model> models, const std::string& location);

  uint64_t bytes() const { return bytes_; }  // of the file

  // Writes the tensors to their places.
  void write(AtomicFile& file, const Progress& progress) const;

 private:
  struct Placed {
    const ExternalTensor* tensor;
    std::string name;
  };
  std::vector<Placed> placed_;  // in the order of their places
  uint64_t bytes_ = 0;
};

}  // namespace duan::onnx
