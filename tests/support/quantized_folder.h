// What two quantized folders have in common.
#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "base/json.h"

namespace duan::test {

// Every file of a folder by name. What a run says of itself, time and memory, is no part of its result: it is taken out
// of quantization_report.json, and the page made of that is left out.
inline std::map<std::string, std::string> files_of(const std::filesystem::path& folder) {
  std::map<std::string, std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if (name == "quantization_report.html") continue;
    files[name] = read_file(entry.path());
    if (name != "quantization_report.json") continue;
    Json report = parse_json(files[name], name);
    report.erase("run");
    files[name] = to_text(report, 1);
  }
  return files;
}

}  // namespace duan::test
