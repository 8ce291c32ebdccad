#include "quant/work_folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>

#include "base/atomic_file.h"
#include "base/error.h"

namespace duan::quant {
namespace {
namespace fs = std::filesystem;

constexpr const char* kState = "state.json";
constexpr const char *kHidden = "hidden", *kRounded = "rounded";  // tensors
constexpr const char* kRestart = "--restart throws the unfinished work away";
constexpr int kFormat = 1;  // of these files; a change makes work of older versions unusable

// The first key whose values differ, "a.b", for a message.
std::string difference(const Json& a, const Json& b) {
  if (!a.is_object() || !b.is_object()) return "";
  for (const auto& [key, value] : a.items()) {
    if (b.contains(key) && b[key] == value) continue;
    if (!b.contains(key)) return key;
    const std::string inner = difference(value, b[key]);
    return inner.empty() ? fmt::format("{}, {} then and {} now", key, printable(to_text(b[key]), 60),
                                       printable(to_text(value), 60))
                         : inner;
  }
  for (const auto& [key, value] : b.items()) {
    if (!a.contains(key)) return key;
  }
  return "";
}

}  // namespace

fs::path WorkFolder::path_for(const fs::path& output) {
  fs::path folder = fs::absolute(output).lexically_normal();
  if (!folder.has_filename()) folder = folder.parent_path();
  return folder.parent_path() / (folder.filename().string() + ".partial");
}

WorkFolder::WorkFolder(const fs::path& output, const Json& identity, bool restart)
    : path_(path_for(output)), identity_(identity) {
  identity_["format"] = kFormat;
  std::error_code error;
  const bool is_new = fs::create_directories(path_, error);
  if (error) throw Error(fmt::format("cannot be created: {}", std::strerror(error.value())), path_.string());
  fd_ = ::open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd_ < 0) throw Error(fmt::format("cannot be opened: {}", std::strerror(errno)), path_.string());
  try {
    if (::flock(fd_, LOCK_EX | LOCK_NB) != 0) {
      throw Error("another run is working on this output", path_.string(), "wait for it, or choose another output");
    }
    if (is_new || !fs::exists(path_ / kState)) {
      if (!is_new && !fs::is_empty(path_)) {
        // Without a state nothing was finished; but only what a run writes may be swept away.
        for (const auto& entry : fs::directory_iterator(path_)) {
          const std::string name = entry.path().filename().string();
          const std::string_view plain = std::string_view(name).substr(name.starts_with(".") ? 1 : 0);
          const bool is_ours = plain.starts_with("block-") || plain.starts_with("hidden-") || plain.starts_with(kState);
          if (!is_ours) throw Error(fmt::format("holds {}, which no run wrote", printable(name)), path_.string());
        }
      }
      clean();
      write_state(0);
      return;
    }
    if (!restart && take_over()) return;
    clean();
    write_state(0);
  } catch (...) {
    ::close(fd_);
    throw;
  }
}

// Whether there is work of the same run. Throws where work of another would be lost.
bool WorkFolder::take_over() {
  const fs::path file = path_ / kState;
  Json known;
  size_t finished = 0;
  try {
    const Json state = read_json(file);
    known = json_at<Json>(state, "identity", file.string());
    finished = json_at<size_t>(state, "finished", file.string());
    committing_ = json_or<uint64_t>(state, "committing", 0, file.string());
  } catch (const Error& e) {
    throw Error(e.message(), e.where(), kRestart);
  }
  if (known == identity_) {
    finished_ = finished;
    return true;
  }
  committing_ = 0;
  if (finished == 0) return false;
  const std::string what = difference(identity_, known);
  throw Error(fmt::format("holds the unfinished work of another run ({})", what.empty() ? "other options" : what),
              path_.string(), fmt::format("{}; the options of then go on with it", kRestart));
}

WorkFolder::~WorkFolder() {
  wait();
  if (fd_ >= 0) ::close(fd_);
}

void WorkFolder::clean() const {
  // The state first: without it, what is left counts for nothing.
  std::error_code ignored;
  fs::remove(path_ / kState, ignored);
  for (const auto& entry : fs::directory_iterator(path_)) fs::remove(entry.path(), ignored);
}

void WorkFolder::wait() noexcept {
  if (background_.joinable()) background_.join();
}

void WorkFolder::settle() {
  wait();
  has_failed_ = false;
  if (failed_) std::rethrow_exception(std::exchange(failed_, nullptr));
}

void WorkFolder::check() {
  if (has_failed_) settle();
}

uint64_t WorkFolder::bytes() const {
  uint64_t sum = 0;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(path_)) {
    const uint64_t bytes = entry.file_size(error);
    if (!error) sum += bytes;
  }
  return sum;
}

void WorkFolder::write_state(size_t finished) {
  Json state = {{"identity", identity_}, {"finished", finished}};
  if (committing_ != 0) state["committing"] = committing_;
  write_file_atomically(path_ / kState, to_text(state, 1) + "\n");
}

fs::path WorkFolder::block_file(size_t block, const char* ending) const {
  return path_ / fmt::format("block-{}.{}", block, ending);
}

fs::path WorkFolder::hidden_file(size_t block) const { return path_ / fmt::format("hidden-{}.safetensors", block); }

void WorkFolder::finish_block(const std::function<Json()>& record, const std::vector<checkpoint::TensorSpec>& tensors,
                              const checkpoint::TensorSource& source, const HiddenStates* hidden,
                              const HiddenStates* rounded) {
  settle();
  const size_t block = finished_;
  if (!tensors.empty()) checkpoint::write_safetensors(block_file(block, "safetensors"), tensors, source);
  write_file_atomically(block_file(block, "json"), to_text(record(), 1) + "\n");
  ++finished_;
  const auto conclude = [this, block] {
    write_state(block + 1);
    std::error_code ignored;
    if (block > 0) fs::remove(hidden_file(block - 1), ignored);
  };
  if (hidden == nullptr) return conclude();
  const auto write = [this, block, hidden, rounded, conclude] {
    try {
      write_hidden(block, *hidden, rounded);
      conclude();
    } catch (...) {
      failed_ = std::current_exception();
      has_failed_ = true;
    }
  };
  try {
    background_ = std::thread(write);
  } catch (const std::system_error&) {  // no more threads are allowed
    write();
  }
}

void WorkFolder::write_hidden(size_t block, const HiddenStates& hidden, const HiddenStates* rounded) {
  const auto spec_of = [](const char* name, const HiddenStates& states) -> checkpoint::TensorSpec {
    return {name, DType::f32, {static_cast<int64_t>(states.values.size()) / states.width, states.width}};
  };
  std::vector<checkpoint::TensorSpec> specs{spec_of(kHidden, hidden)};
  if (rounded != nullptr && rounded->width > 0) specs.push_back(spec_of(kRounded, *rounded));
  checkpoint::write_safetensors(hidden_file(block), specs, [&](size_t index, const checkpoint::ByteSink& sink) {
    sink(std::as_bytes(std::span(index == 0 ? hidden.values : rounded->values)));
  });
}

Json WorkFolder::record(size_t block) const { return read_json(block_file(block, "json")); }

std::optional<checkpoint::SafetensorsFile> WorkFolder::tensors(size_t block) const {
  const fs::path file = block_file(block, "safetensors");
  std::error_code ignored;
  if (!fs::exists(file, ignored)) return std::nullopt;
  return checkpoint::SafetensorsFile(file);
}

HiddenStates WorkFolder::read_hidden(const char* name, bool must_be_there) const {
  DUAN_CHECK(finished_ > 0 && !background_.joinable(), "no block is finished");
  const fs::path path = hidden_file(finished_ - 1);
  const checkpoint::SafetensorsFile file(path);
  const auto view = file.find(name);
  HiddenStates hidden;
  if (!view && !must_be_there) return hidden;
  if (!view || view->dtype != DType::f32 || view->shape.size() != 2) {
    throw Error("does not hold hidden states", path.string(), kRestart);
  }
  hidden.width = view->shape[1];
  hidden.values.resize(view->bytes / sizeof(float));
  std::memcpy(hidden.values.data(), view->data, view->bytes);
  return hidden;
}

HiddenStates WorkFolder::hidden() const { return read_hidden(kHidden, true); }
HiddenStates WorkFolder::rounded_hidden() const { return read_hidden(kRounded, false); }

void WorkFolder::set_committing(uint64_t inode) {
  settle();
  committing_ = inode;
  write_state(finished_);
}

void WorkFolder::remove() {
  // The state goes last, so that a run after a kill finds the output finished; it counts on no block any more, should
  // the output be gone by then.
  settle();
  finished_ = 0;
  write_state(0);
  std::error_code error;
  bool is_empty = true;
  for (const auto& entry : fs::directory_iterator(path_)) {
    if (entry.path().filename() == kState) continue;
    fs::remove(entry.path(), error);
    is_empty = is_empty && !error;
  }
  if (!is_empty) return;
  fs::remove(path_ / kState, error);
  fs::remove(path_, error);
}

}  // namespace duan::quant
