// The folder a command writes a checkpoint into: whether it may, whether there is room, and what is copied.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

#include "base/atomic_folder.h"

namespace duan::quant {

// Replacing removes all that a folder holds, so it must be what an earlier run made, which `marker` in it shows.
// Throws Error: the folder is that of the model, is no folder, or is not empty and may not be replaced.
void check_output(const std::filesystem::path& model, const std::filesystem::path& output, bool overwrite,
                  const char* marker);

// Throws Error if fewer than `needed` bytes are free.
void check_room(const std::filesystem::path& folder, uint64_t needed);

// The file appears complete or not at all. Returns its size.
uint64_t write_whole_file(const std::filesystem::path& file, std::string_view content);

// Hands every companion file that the model's folder has (checkpoint/companion_files.h) to `write`.
void for_each_companion(const std::filesystem::path& model,
                        const std::function<void(const std::string& name, std::string_view content)>& write);

// Runs `work`; an Error about a file in the unfinished folder is told of the folder the user named.
void in_named_folder(const AtomicFolder& folder, const std::function<void()>& work);

}  // namespace duan::quant
