// What a quantization run has finished, kept beside its output so that a killed run goes on where it was.
#pragma once

#include <atomic>
#include <cstdint>
#include <exception>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/json.h"
#include "checkpoint/safetensors.h"
#include "checkpoint/writer.h"
#include "quant/block_calibration.h"

namespace duan::quant {

// "<output>.partial": state.json says what the run is of and how many blocks are finished; of each finished block
// there are block-<n>.json and, if it made tensors, block-<n>.safetensors; of the last one hidden-<n>.safetensors, what
// it hands on. Each file appears complete or not at all, state.json last, so there is no moment at which a kill harms.
// Held under flock. All functions throw Error naming the file and the system's reason.
class WorkFolder {
 public:
  // `identity` is everything the result depends on. What an earlier run of the same identity left is taken over; of
  // another one, or damaged, it is an Error. `restart` throws it away in every case.
  WorkFolder(const std::filesystem::path& output, const Json& identity, bool restart);
  ~WorkFolder();
  WorkFolder(const WorkFolder&) = delete;
  WorkFolder& operator=(const WorkFolder&) = delete;

  static std::filesystem::path path_for(const std::filesystem::path& output);
  const std::filesystem::path& path() const { return path_; }

  size_t finished() const { return finished_; }  // blocks
  uint64_t bytes() const;                        // of all its files
  // The inode of the folder that was about to become the output; 0: it has not come to that.
  uint64_t committing() const { return committing_; }

  // Block `finished()` is finished. `record` is asked after the tensors are written. `hidden` is what the block hands
  // on; nullptr: nothing. `rounded` is the same of what is rounded so far; nullptr or empty: nothing. Both are written
  // in the background, and must stay as they are until settle() is called. A run that is killed before that goes on
  // with this block.
  void finish_block(const std::function<Json()>& record, const std::vector<checkpoint::TensorSpec>& tensors,
                    const checkpoint::TensorSource& source, const HiddenStates* hidden,
                    const HiddenStates* rounded = nullptr);
  // Waits for what is written in the background; the first throws what went wrong there.
  void settle();
  void wait() noexcept;
  // As settle() if something has gone wrong there already; else does not wait.
  void check();
  Json record(size_t block) const;
  std::optional<checkpoint::SafetensorsFile> tensors(size_t block) const;  // nothing: it made none
  // What the last finished block handed on; settled.
  HiddenStates hidden() const;
  HiddenStates rounded_hidden() const;  // empty: it handed on no such thing

  void set_committing(uint64_t inode);
  void remove();  // the work is done

 private:
  std::filesystem::path block_file(size_t block, const char* ending) const;
  std::filesystem::path hidden_file(size_t block) const;
  HiddenStates read_hidden(const char* name, bool must_be_there) const;
  bool take_over();
  void write_state(size_t finished);
  void write_hidden(size_t block, const HiddenStates& hidden, const HiddenStates* rounded);
  void clean() const;

  std::filesystem::path path_;
  Json identity_;
  size_t finished_ = 0;
  uint64_t committing_ = 0;
  int fd_ = -1;
  std::thread background_;
  std::exception_ptr failed_;  // in the background
  std::atomic<bool> has_failed_{false};
};

}  // namespace duan::quant
