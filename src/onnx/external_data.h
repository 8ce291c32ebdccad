// Large tensors live in one file beside model.onnx, each at a multiple of 4096 bytes: a reader can map them. Those
// below 64 KiB stand behind the others, at multiples of 64 bytes: pages for each would be mostly padding.
#pragma once

#include <functional>
#include <string>

#include "base/atomic_file.h"
#include "onnx/model.h"

namespace duan::onnx {

inline constexpr uint64_t kPageBytes = 4096, kSmallBytes = uint64_t{64} * 1024, kSmallAlignment = 64;

// Called with the bytes written so far and in total.
using Progress = std::function<void(uint64_t done, uint64_t total)>;

// Gives every external tensor its place in the file `location` (a plain name), in this order in the model from now on,
// and records it there. Returns the size of the file.
uint64_t place_external(Model& model, const std::string& location);

// Writes the tensors to their places.
void write_external(const Model& model, AtomicFile& file, uint64_t total, const Progress& progress);

}  // namespace duan::onnx
