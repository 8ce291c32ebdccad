// Plots of a quantization report: one mark for each layer, in the order of the model.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace duan::quant {

struct LayerMark {
  std::string layer;               // "model.layers.3.mlp.down_proj"
  double value;                    // in percent, >= 0; not finite: drawn at 0
  std::optional<double> before{};  // the same without smoothing
};

// An SVG to stand in an HTML page, whose style sheet gives its classes their colours: axis, grid, mark, before, after,
// change. Each mark is a group of class "mark" with a tooltip that says its layer and numbers. Empty without marks.
std::string layer_plot(const std::string& title, const std::vector<LayerMark>& marks);

}  // namespace duan::quant
