#include "text/jinja_loop.h"

namespace duan::text::jinja {

LoopState::LoopState(Meter* counter, std::shared_ptr<const Items> items, std::function<bool(const Value&)> test)
    : Object(counter, 192), source(std::move(items)), filtered(test != nullptr), filter(std::move(test)) {}

bool LoopState::has(size_t i) {
  if (!filtered) return i < source->values.size();
  while (kept.size() <= i && filter && position < source->values.size()) {
    const Value& item = source->values[position++];
    if (filter(item)) kept.push_back(item);
  }
  return i < kept.size();
}

size_t LoopState::length() {
  has(SIZE_MAX);
  return filtered ? kept.size() : source->values.size();
}

Value loop_attribute(const Value& loop, const std::string& name, Meter& meter) {
  const std::shared_ptr<LoopState> state = loop.as<LoopState>();
  const auto number = [](size_t value) { return Value::integer(static_cast<int64_t>(value)); };
  if (name == "index") return number(state->index + 1);
  if (name == "index0") return number(state->index);
  if (name == "first") return Value::boolean(state->index == 0);
  if (name == "last") return Value::boolean(!state->has(state->index + 1));
  if (name == "length") return number(state->length());
  if (name == "revindex") return number(state->length() - state->index);
  if (name == "revindex0") return number(state->length() - state->index - 1);
  if (name == "previtem") return state->index == 0 ? Value() : state->at(state->index - 1);
  if (name == "nextitem") return state->has(state->index + 1) ? state->at(state->index + 1) : Value();
  if (name == "depth") return number(1);
  if (name == "depth0") return number(0);
  if (name == "cycle") return Value::object(Kind::Method, std::make_shared<Method>(&meter, loop, name));
  if (name == "changed") throw Error("loop.changed is not supported");
  return Value();
}

}  // namespace duan::text::jinja
