// Weights as AutoAWQ and GPTQ store them, read into the layout every other part knows. One weight [out, in] is
//   qweight  AutoAWQ I32 [in, out / 8]; nibble i of a word is the code of output 8j + {0, 2, 4, 6, 1, 3, 5, 7}[i]
//            GPTQ    I32 [in * bits / 32, out]; the codes of a word are those of consecutive inputs
//   qzeros   I32 [groups, out * bits / 32]; in qweight's order (AutoAWQ), or in plain order, minus 1 in version 1
//   (GPTQ) scales   a float [groups, out] g_idx    GPTQ only, I32 [in]: each input's group
// All fields are unsigned and begin at the low end: value = (code - zero point) * scale.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "checkpoint/checkpoint.h"

namespace duan::checkpoint {

// The checked tensors of one weight.
struct TransposedWeight {
  std::string module;  // "model.layers.0.mlp.up_proj"
  std::string folder;  // for errors
  WeightStorage storage;
  int bits;
  int64_t rows, columns, group_size;  // group_size divides columns
  bool symmetric;                     // every zero point is the middle of the codes: 2^(bits-1)
  TensorView qweight, qzeros, scales;
  std::optional<TensorView> g_idx;
  bool in_order;  // input c is of group c / group_size: else the groups cannot be kept

  int64_t groups() const { return columns / group_size; }
  int64_t row_words() const { return columns * bits / 32; }

  // What repack() makes of it, without its numbers: pointers in it must not be read. For sizes and formats.
  Weight description() const;
};

// Whether a module's codes are stored this way.
bool is_transposed(const Checkpoint& checkpoint, const std::string& module);

// Throws Error naming the tensor that is missing, or has a dtype, a shape or a group index that does not fit the
// configuration. `expected`: [out, in].
TransposedWeight transposed_weight(const Checkpoint& checkpoint, const std::string& module, const Shape& expected,
                                   const QuantizationConfig& config);

// The numbers of a weight in memory of their own. IntGroup, code for code; or, where columns are not in the order of
// their groups, Dense in the dtype of the scales: (code - zero point) * scale rounded once.
struct RepackedWeight {
  RepackedWeight() = default;
  RepackedWeight(RepackedWeight&&) = default;
  RepackedWeight& operator=(RepackedWeight&&) = default;

  std::vector<std::byte> codes, scales, zero_points;  // as IntGroup describes; zero_points: empty if symmetric
  std::vector<std::byte> dense;                       // in place of those three
  Weight weight;                                      // of these bytes
};

// Throws Error for a zero point that does not fit, or a scale that is not finite.
RepackedWeight repack(const TransposedWeight& stored);

}  // namespace duan::checkpoint
