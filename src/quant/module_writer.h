// The tensors of a rounded matrix, as the output stores them.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "quant/modules.h"
#include "quant/quantized_checkpoint.h"
#include "quant/source_matrix.h"

namespace duan::quant {

// Numbers as bytes of a float dtype.
void store(std::span<const float> values, DType dtype, std::byte* to);  // any alignment
std::vector<std::byte> as_stored(std::span<const float> values, DType dtype);

// Turns rounded pieces into the tensors of module_tensors, in its order: codes as they come, the rest kept until asked.
class ModuleWriter {
 public:
  // The module and the recipe must outlive it. `input_scale`: of a layer whose inputs are rounded with one scale.
  ModuleWriter(const Module& module, const Recipe& recipe, std::optional<float> input_scale)
      : module_(module), recipe_(recipe), input_scale_(input_scale) {}

  // Called with all rows of the matrix, piece by piece, front to back.
  void add(const RoundedRows& piece, const checkpoint::ByteSink& sink);

  // One of the tensors after the codes.
  void write(const checkpoint::TensorSpec& spec, const checkpoint::ByteSink& sink) const;

 private:
  void write_zero_points(const checkpoint::ByteSink& sink) const;

  const Module& module_;
  const Recipe& recipe_;
  std::optional<float> input_scale_;
  std::vector<float> scales_;
  std::vector<int8_t> zero_points_;
};

}  // namespace duan::quant
