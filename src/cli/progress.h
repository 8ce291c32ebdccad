// A progress line on stderr with rate and remaining time; silent for the first two seconds and where stderr is no
// terminal.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
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

// A line for each stage of a work whose sizes show only as it goes on.
class StagedProgress {
 public:
  // `done` and `total` in units, shown in millions of them; another title begins another line.
  void update(const std::string& title, const std::string& unit, int64_t done, int64_t total,
              const std::string& note = "");
  double finish();  // removes the line; gives the seconds since this was made

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  std::string title_;
  std::optional<Progress> line_;
};

}  // namespace duan::cli
