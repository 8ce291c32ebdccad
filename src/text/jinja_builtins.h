// Filters, tests and methods: the only ones there are.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "text/jinja_value.h"

namespace duan::text::jinja {

// What a filter, test, method or function was called with.
class Arguments {
 public:
  std::vector<Value> positional;
  std::vector<std::pair<std::string, Value>> named;

  // The argument at `position` or called `name`; null if it was not given.
  const Value* get(size_t position, std::string_view name);
  const Value& need(size_t position, std::string_view name);
  int64_t integer(size_t position, std::string_view name, int64_t fallback);
  bool flag(size_t position, std::string_view name, bool fallback);
  std::string_view text(size_t position, std::string_view name);  // must be given, a str
  // Error if more than `most` positional arguments or a name nobody asked for was given.
  void finish(size_t most) const;

 private:
  size_t used_names_ = 0;
};

// Index in the table, -1 if there is none.
int find_filter(std::string_view name);
int find_test(std::string_view name);
Value call_filter(int filter, const Value& input, Arguments arguments, Meter& meter);
bool call_test(int test, const Value& input, Arguments arguments, Meter& meter);

// Whether some type has a method we know by that name.
bool known_method(std::string_view name);
enum class MethodState { None, Supported, Refused };  // Refused: Python has it, templates here may not call it
MethodState method_state(const Value& value, std::string_view name);
Value call_method(const Value& self, std::string_view name, Arguments arguments, Meter& meter);

// The global functions.
enum GlobalFunction : int { kRange, kDict, kNamespace, kRaiseException, kStrftimeNow, kGlobalFunctions };
extern const std::string_view kGlobalNames[kGlobalFunctions];
Value call_global(int function, Arguments arguments, Meter& meter);  // all but namespace

// json.dumps; indent < 0: on one line.
struct JsonStyle {
  std::string indent;
  bool pretty = false;
  bool ascii = false;
  bool sort_keys = false;
  std::string item_separator = ", ";
  std::string key_separator = ": ";
};
std::string to_json(const Value& value, const JsonStyle& style, Meter& meter);

}  // namespace duan::text::jinja
