// The report of a quantization run as a page.
#pragma once

#include <string>

#include "base/json.h"

namespace duan::quant {

// What quantize() returns and quantization_report.json holds, as one HTML file that is well-formed XML: no scripts,
// nothing from the network, plots as inline SVG, readable in light and dark. What modules have beyond the keys that
// quantize.h names gets columns of its own.
std::string report_html(const Json& report);

}  // namespace duan::quant
