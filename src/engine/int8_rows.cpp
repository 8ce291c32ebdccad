#include "engine/int8_rows.h"

#include "base/error.h"
#include "kernels/linear_int8.h"

namespace duan::engine {

std::vector<float> int8_row_scales(const Weight& weight) {
  if (weight.columns() > kernels::kMaxInt8Columns) {
    throw Error(fmt::format("{} has rows of {} int8 codes, at most {} can be summed", weight.name, weight.columns(),
                            kernels::kMaxInt8Columns));
  }
  const Dense& stored = std::get<Int8Channel>(weight.format).scales;
  std::vector<float> scales(static_cast<size_t>(weight.rows()));
  to_float(stored.dtype, stored.data, weight.rows(), scales.data());
  return scales;
}

}  // namespace duan::engine
