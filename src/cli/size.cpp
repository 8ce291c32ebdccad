#include "cli/size.h"

#include "base/error.h"

namespace duan::cli {

uint64_t parse_size(const std::string& text, const std::string& flag) {
  size_t end = 0;
  double number = 0;
  try {
    number = std::stod(text, &end);
  } catch (const std::exception&) {
    end = 0;
  }
  const std::string unit = text.substr(end);
  const double factor = unit.empty() || unit == "B" ? 1
                        : unit == "KB"              ? 1e3
                        : unit == "MB"              ? 1e6
                        : unit == "GB"              ? 1e9
                                                    : 0;
  const double bytes = number * factor;
  if (end == 0 || !(bytes >= 1) || bytes > 1e15) {
    throw Error(fmt::format("\"{}\" is not a size", printable(text, 20)), flag, "write it like 5GB or 300MB");
  }
  return static_cast<uint64_t>(bytes);
}

}  // namespace duan::cli
