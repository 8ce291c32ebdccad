// Lines typed before, kept in a file across sessions.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace duan::cli {

inline constexpr size_t kMaxHistory = 1000;

// $XDG_STATE_HOME/duan/history, else ~/.local/state/duan/history; empty if neither variable is set.
std::filesystem::path history_file();

class History {
 public:
  // One JSON string a line; lines that are not are skipped. An empty path keeps the history in memory.
  explicit History(std::filesystem::path file);

  // The newest line last, each line once. Saves the file (mode 0600), together with what other sessions added
  // meanwhile; that it cannot is warned about once.
  void add(const std::string& line);

  const std::vector<std::string>& lines() const { return lines_; }

 private:
  void read();
  void write();

  std::filesystem::path file_;
  std::vector<std::string> lines_;
};

}  // namespace duan::cli
