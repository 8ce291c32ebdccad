#include "cli/progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

namespace duan::cli {
using Clock = std::chrono::steady_clock;

Progress::Progress(std::string title, int64_t total, std::string unit)
    : title_(std::move(title)),
      unit_(std::move(unit)),
      total_(total),
      terminal_(::isatty(STDERR_FILENO) != 0),
      start_(Clock::now()),
      last_(start_) {}

Progress::~Progress() { finish(); }

void Progress::update(int64_t done, const std::string& note) {
  using std::chrono::duration;
  const auto now = Clock::now();
  const double elapsed = duration<double>(now - start_).count();
  if (!terminal_ || elapsed < 2 || duration<double>(now - last_).count() < 0.2) return;
  last_ = now;
  shown_ = true;
  const double rate = static_cast<double>(done) / elapsed;
  const double left = rate > 0 ? static_cast<double>(total_ - done) / rate : 0;
  fmt::print(stderr, "\r\x1b[K{}{}{}: {}/{} {} ({:.0f} %), {:.1f}/s, {:.0f} s left", title_, note.empty() ? "" : " ",
             note, done, total_, unit_, 100.0 * static_cast<double>(done) / static_cast<double>(total_), rate, left);
  std::fflush(stderr);
}

void Progress::finish() {
  if (shown_) fmt::print(stderr, "\r\x1b[K");
  shown_ = false;
}

void StagedProgress::update(const std::string& title, const std::string& unit, int64_t done, int64_t total,
                            const std::string& note) {
  constexpr int64_t kMillion = 1'000'000;
  if (!line_ || title != title_) {
    title_ = title;
    line_.reset();
    line_.emplace(title, std::max<int64_t>(total / kMillion, 1), unit);
  }
  line_->update(done / kMillion, note);
}

double StagedProgress::finish() {
  line_.reset();
  return std::chrono::duration<double>(Clock::now() - start_).count();
}

}  // namespace duan::cli
