// Writes safetensors files, tensor by tensor: memory is one piece, not one model.
#pragma once

#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "tensor/dtype.h"
#include "tensor/shape.h"

namespace duan::checkpoint {

struct TensorSpec {
  std::string name;
  DType dtype;
  Shape shape;
};

using ByteSink = std::function<void(std::span<const std::byte>)>;
// Hands the bytes of tensor `index` to `sink`, in any number of pieces; together exactly the tensor's size.
using TensorSource = std::function<void(size_t index, const ByteSink& sink)>;

// Tensors are written in the order given; the file appears complete or not at all. Throws Error if the file cannot be
// written or our own reader would refuse it (a duplicate name, too many dimensions, ...).
void write_safetensors(const std::filesystem::path& path, const std::vector<TensorSpec>& tensors,
                       const TensorSource& source,
                       const std::vector<std::pair<std::string, std::string>>& metadata = {});

}  // namespace duan::checkpoint
