// Ending a stream of text where a given string appears in it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace duan::cli {

class StopStrings {
 public:
  // Throws Error if one is empty.
  explicit StopStrings(std::vector<std::string> strings);

  // What of the text so far is certainly before any stop string: what could be the beginning of one waits. Pieces of
  // whole characters give pieces of whole characters. After a stop string nothing comes any more.
  std::string push(std::string_view piece);
  std::string finish();  // what waits, if no stop string came
  bool stopped() const { return stopped_; }

 private:
  std::vector<std::string> strings_;
  std::string waiting_;
  bool stopped_ = false;
};

}  // namespace duan::cli
