// The specification of dequantize.h, element by element.
#include "kernels/dequantize_list.h"
#include "kernels/load.h"

namespace duan::kernels::ref {
namespace {

struct Element {
  int64_t columns, row, column;

  float operator()(const Dense& w) const { return load_float(w.data, w.dtype, row * columns + column); }
  float operator()(const Int8Channel& w) const {
    return static_cast<float>(static_cast<int8_t>(w.codes[row * columns + column])) *
           load_float(w.scales.data, w.scales.dtype, row);
  }
  float operator()(const IntGroup& w) const {
    const int64_t group = column / w.group_size;
    const int32_t code = code_at(w, columns, row, column) - zero_point_at(w, columns, row, group);
    return static_cast<float>(code) * load_float(w.scales.data, w.scales.dtype, row * (columns / w.group_size) + group);
  }
};

}  // namespace

void dequantize(const DequantizeArgs& args) noexcept {
  const int64_t columns = args.weight->columns();
  for (int64_t row = args.first; row < args.last; ++row) {
    for (int64_t column = 0; column < columns; ++column) {
      store_float(args.out, args.out_dtype, (row - args.first) * columns + column,
                  std::visit(Element{columns, row, column}, args.weight->format));
    }
  }
}

}  // namespace duan::kernels::ref
