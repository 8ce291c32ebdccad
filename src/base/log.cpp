#include "base/log.h"

namespace duan {
namespace {
std::function<void(const std::string&)>& sink() {
  static std::function<void(const std::string&)> function;
  return function;
}
}  // namespace

void set_warning_sink(std::function<void(const std::string&)> function) { sink() = std::move(function); }

void warn(const std::string& line) {
  if (sink()) sink()(line);
}

}  // namespace duan
