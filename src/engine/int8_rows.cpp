#include "engine/int8_rows.h"

#include "base/error.h"
#include "kernels/linear_int8.h"

namespace duan::engine {

Int8Rows int8_rows(const Weight& weight) {
  const auto& format = std::get<Int8Channel>(weight.format);
  if (weight.columns() > kernels::kMaxInt8Columns) {
    throw Error(fmt::format("{} has rows of {} int8 codes, at most {} can be summed", weight.name, weight.columns(),
                            kernels::kMaxInt8Columns));
  }
  Int8Rows rows;
  rows.scales.resize(static_cast<size_t>(weight.rows()));
  to_float(format.scales.dtype, format.scales.data, weight.rows(), rows.scales.data());
  if (format.input.zero_point == 0) return rows;
  for (int64_t n = 0; n < weight.rows(); ++n) {
    int32_t sum = 0;
    for (int64_t k = 0; k < weight.columns(); ++k) {
      sum += static_cast<int8_t>(format.codes[n * weight.columns() + k]);
    }
    rows.sums.push_back(sum);
  }
  return rows;
}

}  // namespace duan::engine
