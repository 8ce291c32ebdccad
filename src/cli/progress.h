// A progress line on stderr with rate and remaining time; silent for the first two seconds and where stderr is no
// terminal.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace duan::cli {

class Progress {
 public:
  Progress(std::string title, int64_t total, std::string unit);
  ~Progress();
  void update(int64_t done, const std::string& note = "");  // shown after the title
  void finish();                                            // removes the line

 private:
  std::string title_, unit_;
  int64_t total_;
  bool shown_ = false, terminal_;
  std::chrono::steady_clock::time_point start_, last_;
};

}  // namespace duan::cli
