#include "cli/history.h"

#include <sys/stat.h>

#include <algorithm>
#include <cstdlib>

#include "base/atomic_file.h"
#include "base/error.h"
#include "base/json.h"
#include "base/log.h"

namespace duan::cli {
namespace fs = std::filesystem;

namespace {

void put(std::vector<std::string>& lines, std::string line) {
  std::erase(lines, line);
  lines.push_back(std::move(line));
  if (lines.size() > kMaxHistory) lines.erase(lines.begin(), lines.end() - kMaxHistory);
}

}  // namespace

fs::path history_file() {
  const auto variable = [](const char* name) {
    const char* value = std::getenv(name);
    return fs::path(value != nullptr ? value : "");
  };
  // The XDG specification: a relative path counts as unset.
  if (const fs::path state = variable("XDG_STATE_HOME"); state.is_absolute()) return state / "duan" / "history";
  if (const fs::path home = variable("HOME"); home.is_absolute()) return home / ".local/state/duan/history";
  return {};
}

History::History(fs::path file) : file_(std::move(file)) { read(); }

void History::read() {
  std::error_code ignored;
  if (file_.empty() || !fs::is_regular_file(file_, ignored)) return;
  try {
    const std::string content = read_file(file_);
    lines_.clear();
    for (size_t at = 0; at < content.size();) {
      const size_t end = std::min(content.find('\n', at), content.size());
      const Json line = Json::parse(content.substr(at, end - at), nullptr, false);
      if (line.is_string()) put(lines_, line.get<std::string>());
      at = end + 1;
    }
  } catch (const Error& e) {
    warn("the history is not read: {}", e.what());
    file_.clear();
  }
}

void History::add(const std::string& line) {
  read();
  put(lines_, line);
  write();
}

void History::write() {
  if (file_.empty()) return;
  std::string content;
  for (const std::string& line : lines_) content += to_text(Json(line)) + "\n";
  try {
    std::error_code error;
    fs::create_directories(file_.parent_path(), error);
    if (error) throw Error(error.message(), file_.parent_path().string());
    write_file_atomically(file_, content);
    ::chmod(file_.c_str(), S_IRUSR | S_IWUSR);
  } catch (const Error& e) {
    warn("the history is not saved: {}", e.what());
    file_.clear();
  }
}

}  // namespace duan::cli
