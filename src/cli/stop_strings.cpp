#include "cli/stop_strings.h"

#include <algorithm>

#include "base/error.h"

namespace duan::cli {

StopStrings::StopStrings(std::vector<std::string> strings) : strings_(std::move(strings)) {
  for (const std::string& stop : strings_) {
    if (stop.empty()) throw Error("is empty; every text contains it", "--stop");
  }
}

std::string StopStrings::push(std::string_view piece) {
  if (stopped_) return "";
  waiting_ += piece;
  // The one complete first counts, of several the longest: what a stream of single bytes gives.
  size_t end = std::string::npos, begin = 0;
  for (const std::string& stop : strings_) {
    const size_t at = waiting_.find(stop);
    if (at == std::string::npos || at + stop.size() > end) continue;
    begin = at + stop.size() < end ? at : std::min(begin, at);
    end = at + stop.size();
  }
  if (end != std::string::npos) {
    stopped_ = true;
    std::string out = waiting_.substr(0, begin);
    waiting_.clear();
    return out;
  }
  size_t keep = 0;
  for (const std::string& stop : strings_) {
    for (size_t n = std::min(stop.size() - 1, waiting_.size()); n > keep; --n) {
      if (waiting_.ends_with(std::string_view(stop).substr(0, n))) keep = n;
    }
  }
  std::string out = waiting_.substr(0, waiting_.size() - keep);
  waiting_.erase(0, waiting_.size() - keep);
  return out;
}

std::string StopStrings::finish() {
  std::string out = std::move(waiting_);
  waiting_.clear();
  return out;
}

}  // namespace duan::cli
