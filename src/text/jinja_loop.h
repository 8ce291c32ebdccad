// The variable `loop` of a for loop.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "text/jinja_value.h"

namespace duan::text::jinja {

// The items a loop walks over. With an `if` they are tested one by one and no sooner than needed, as in Jinja: the
// test may depend on what the body did before.
struct LoopState : Object {
  LoopState(Meter* counter, std::shared_ptr<const Items> items, std::function<bool(const Value&)> test);

  bool has(size_t i);
  const Value& at(size_t i) const { return filtered ? kept[i] : source->values[i]; }
  size_t length();

  std::shared_ptr<const Items> source;
  bool filtered;
  std::function<bool(const Value&)> filter;  // empty once the loop has ended
  std::vector<Value> kept;
  size_t position = 0;  // in source, of the next item to test
  size_t index = 0;     // of the current item
};

Value loop_attribute(const Value& loop, const std::string& name, Meter& meter);

}  // namespace duan::text::jinja
