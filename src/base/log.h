// Warnings of the library. It never prints by itself: the program installs a sink.
#pragma once

#include <fmt/format.h>

#include <functional>
#include <string>

namespace duan {

// Called with one line, without its newline. Default: warnings are dropped. Set once, before threads start.
void set_warning_sink(std::function<void(const std::string&)> sink);
void warn(const std::string& line);

template <typename... Args>
void warn(fmt::format_string<Args...> format, Args&&... args) requires(sizeof...(Args) > 0) {
  warn(fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace duan
