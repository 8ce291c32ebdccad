#include "text/jinja_operators.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "base/error.h"
#include "text/jinja_builtins.h"
#include "text/jinja_loop.h"
#include "text/jinja_text.h"

namespace duan::text::jinja {
namespace {

const char* symbol(Operator op) {
  switch (op) {
    case Operator::Add:
      return "+";
    case Operator::Subtract:
      return "-";
    case Operator::Multiply:
      return "*";
    case Operator::Divide:
      return "/";
    case Operator::FloorDivide:
      return "//";
    case Operator::Modulo:
      return "%";
    case Operator::Power:
      return "**";
    case Operator::Equal:
      return "==";
    case Operator::NotEqual:
      return "!=";
    case Operator::Less:
      return "<";
    case Operator::LessEqual:
      return "<=";
    case Operator::Greater:
      return ">";
    case Operator::GreaterEqual:
      return ">=";
    case Operator::In:
      return "in";
    case Operator::NotIn:
      return "not in";
  }
  return "?";
}

[[noreturn]] void unsupported(Operator op, const Value& a, const Value& b) {
  throw Error(fmt::format("'{}' is not supported between {} and {}", symbol(op), type_name(a), type_name(b)));
}

[[noreturn]] void overflow() { throw Error("an integer does not fit 64 bits"); }

int64_t floor_divide(int64_t a, int64_t b) {
  if (b == -1 && a == INT64_MIN) overflow();
  const int64_t quotient = a / b;
  return a % b != 0 && (a % b < 0) != (b < 0) ? quotient - 1 : quotient;
}

int64_t modulo(int64_t a, int64_t b) {
  if (b == -1) return 0;  // the processor traps on INT64_MIN % -1
  const int64_t rest = a % b;
  return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
}

double real_modulo(double a, double b) {
  double rest = std::fmod(a, b);
  if (rest != 0) {
    if ((b < 0) != (rest < 0)) rest += b;
  } else {
    rest = std::copysign(0.0, b);
  }
  return rest;
}

double real_floor_divide(double a, double b) {  // CPython's float_floor_div
  double rest = std::fmod(a, b);
  double quotient = (a - rest) / b;
  if (rest != 0 && (b < 0) != (rest < 0)) quotient -= 1;
  if (quotient == 0) return std::copysign(0.0, a / b);
  const double floored = std::floor(quotient);
  return quotient - floored > 0.5 ? floored + 1 : floored;
}

Value whole_power(int64_t base, int64_t exponent) {
  int64_t result = 1;
  while (exponent > 0) {
    if ((exponent & 1) != 0 && __builtin_mul_overflow(result, base, &result)) overflow();
    exponent >>= 1;
    if (exponent > 0 && __builtin_mul_overflow(base, base, &base)) overflow();
  }
  return Value::integer(result);
}

Value real_power(double a, double b) {
  if (a == 0 && b < 0) throw Error("0 cannot be raised to a negative power");
  if (a < 0 && std::isfinite(a) && std::isfinite(b) && b != std::floor(b))
    throw Error("complex numbers are not supported");
  const double result = std::pow(a, b);
  if (std::isinf(result) && std::isfinite(a) && std::isfinite(b)) throw Error("the result of ** is too large");
  return Value::real(result);
}

Value arithmetic(Operator op, const Value& a, const Value& b) {
  const bool whole = a.whole() && b.whole();
  const int64_t x = a.integer(), y = b.integer();
  int64_t result = 0;
  const bool divides = op == Operator::Divide || op == Operator::FloorDivide || op == Operator::Modulo;
  if (divides && b.real() == 0) throw Error("division by zero");
  switch (op) {
    case Operator::Add:
      if (!whole) return Value::real(a.real() + b.real());
      if (__builtin_add_overflow(x, y, &result)) overflow();
      return Value::integer(result);
    case Operator::Subtract:
      if (!whole) return Value::real(a.real() - b.real());
      if (__builtin_sub_overflow(x, y, &result)) overflow();
      return Value::integer(result);
    case Operator::Multiply:
      if (!whole) return Value::real(a.real() * b.real());
      if (__builtin_mul_overflow(x, y, &result)) overflow();
      return Value::integer(result);
    case Operator::Divide:
      return Value::real(a.real() / b.real());
    case Operator::FloorDivide:
      return whole ? Value::integer(floor_divide(x, y)) : Value::real(real_floor_divide(a.real(), b.real()));
    case Operator::Modulo:
      return whole ? Value::integer(modulo(x, y)) : Value::real(real_modulo(a.real(), b.real()));
    default:
      return whole && y >= 0 ? whole_power(x, y) : real_power(a.real(), b.real());
  }
}

Value repeat(const Value& sequence, int64_t times, Meter& meter) {
  const uint64_t count = times > 0 ? static_cast<uint64_t>(times) : 0;
  if (sequence.is(Kind::Text)) {
    const std::string& text = sequence.str();
    if (sequence.text().markup) throw Error("repeating a text marked safe is not supported");
    if (!text.empty() && count > meter.limits.output_bytes / text.size()) meter.check_text(SIZE_MAX);
    meter.check_text(text.size() * count);
    std::string out;
    out.reserve(text.size() * count);
    if (!text.empty()) {
      for (uint64_t i = 0; i < count; ++i) out += text;
    }
    return make_text(&meter, std::move(out));
  }
  const std::vector<Value>& values = sequence.items().values;
  if (!values.empty()) meter.step(std::min<uint64_t>(count, meter.limits.steps + 1) * values.size());
  std::vector<Value> out;
  if (!values.empty()) {
    out.reserve(values.size() * count);
    for (uint64_t i = 0; i < count; ++i) out.insert(out.end(), values.begin(), values.end());
  }
  return make_list(&meter, std::move(out), sequence.kind());
}

bool repeatable(const Value& value) { return value.is(Kind::Text) || value.is(Kind::List) || value.is(Kind::Tuple); }

Value add(const Value& a, const Value& b, Meter& meter) {
  if (a.is(Kind::Text) && b.is(Kind::Text)) {
    if (a.text().markup || b.text().markup) throw Error("'+' on a text marked safe is not supported");
    meter.check_text(a.str().size() + b.str().size());
    return make_text(&meter, a.str() + b.str());
  }
  if (a.kind() == b.kind() && (a.is(Kind::List) || a.is(Kind::Tuple))) {
    std::vector<Value> values;
    meter.step(a.items().values.size() + b.items().values.size());
    values.reserve(a.items().values.size() + b.items().values.size());
    values = a.items().values;
    values.insert(values.end(), b.items().values.begin(), b.items().values.end());
    return make_list(&meter, std::move(values), a.kind());
  }
  unsupported(Operator::Add, a, b);
}

bool contains(const Value& container, const Value& value, Meter& meter) {
  switch (container.kind()) {
    case Kind::Text:
      if (!value.is(Kind::Text)) throw Error(fmt::format("'in <string>' needs a str, not {}", type_name(value)));
      meter.copying(container.str().size());
      return container.str().find(value.str()) != std::string::npos;
    case Kind::Dict:
      if (!hashable(value)) throw Error(fmt::format("a {} cannot be a key", type_name(value)));
      return container.dict().find(value, meter) != nullptr;
    default:
      break;
  }
  if (!iterable(container)) throw Error(fmt::format("'in' is not supported on a {}", type_name(container)));
  const std::shared_ptr<const Items> items = iterate(container, meter);
  return std::any_of(items->values.begin(), items->values.end(),
                     [&](const Value& item) { return equal(item, value, meter); });
}

struct Bounds {
  int64_t start, stop, step, count;
};

// PySlice_AdjustIndices.
Bounds slice_bounds(int64_t length, const Value& start, const Value& stop, const Value& step) {
  for (const Value* bound : {&start, &stop, &step}) {
    if (!bound->is(Kind::None) && !bound->whole()) {
      throw Error(fmt::format("a bound of a slice must be an integer or None, not {}", type_name(*bound)));
    }
  }
  const int64_t stride = step.is(Kind::None) ? 1 : step.integer();
  if (stride == 0) throw Error("the step of a slice must not be zero");
  const auto adjust = [&](const Value& bound, int64_t fallback) {
    if (bound.is(Kind::None)) return fallback;
    int64_t at = bound.integer();
    if (at < 0) at = at < -length ? -1 : at + length;
    if (stride > 0) return std::clamp<int64_t>(at, 0, length);
    return std::clamp<int64_t>(at, -1, length - 1);
  };
  const int64_t from = adjust(start, stride > 0 ? 0 : length - 1);
  const int64_t to = adjust(stop, stride > 0 ? length : -1);
  int64_t count = 0;
  if (stride > 0 && from < to) count = (to - from - 1) / stride + 1;
  if (stride < 0 && to < from) count = stride == INT64_MIN ? 1 : (from - to - 1) / -stride + 1;
  return {from, to, stride, count};
}

Value bound_method(const Value& self, const std::string& name, Meter& meter) {
  return Value::object(Kind::Method, std::make_shared<Method>(&meter, self, name));
}

// What Python's getattr finds on the type itself; undefined otherwise.
std::optional<Value> method_of(const Value& object, const std::string& name, Meter& meter) {
  switch (method_state(object, name)) {
    case MethodState::Supported:
      return bound_method(object, name, meter);
    case MethodState::Refused:
      throw Error(fmt::format("method '{}' of {} is not supported", printable(name, 40), type_name(object)));
    case MethodState::None:
      break;
  }
  return std::nullopt;
}

std::optional<Value> item_at(const Value& object, int64_t index, Meter& meter) {
  if (!object.is(Kind::Text) && !object.is(Kind::List) && !object.is(Kind::Tuple) && !object.is(Kind::Range)) {
    return std::nullopt;
  }
  const int64_t length = length_of(object);
  if (index < 0) index += length;
  if (index < 0 || index >= length) return std::nullopt;
  if (object.is(Kind::Range)) return object.range().at(index);
  if (!object.is(Kind::Text)) return object.items().values[static_cast<size_t>(index)];
  const size_t at = static_cast<size_t>(index);
  if (object.text().ascii()) return make_text(&meter, object.str().substr(at, 1));
  meter.copying(object.str().size());
  return make_text(&meter, std::string(code_point_slice(object.str(), at, at + 1)));
}

void require_defined(const Value& object, const std::string& name) {
  if (object.undefined()) throw Error(fmt::format("an undefined value has no attribute '{}'", printable(name, 40)));
}

}  // namespace

Value binary(Operator op, const Value& a, const Value& b, Meter& meter) {
  if (a.number() && b.number()) return arithmetic(op, a, b);
  if (op == Operator::Add) return add(a, b, meter);
  if (op == Operator::Multiply) {
    if (repeatable(a) && b.whole()) return repeat(a, b.integer(), meter);
    if (repeatable(b) && a.whole()) return repeat(b, a.integer(), meter);
  }
  unsupported(op, a, b);
}

bool compare(Operator op, const Value& a, const Value& b, Meter& meter) {
  switch (op) {
    case Operator::Equal:
      return equal(a, b, meter);
    case Operator::NotEqual:
      return !equal(a, b, meter);
    case Operator::In:
      return contains(b, a, meter);
    case Operator::NotIn:
      return !contains(b, a, meter);
    default:
      break;
  }
  const std::partial_ordering ordering = order(a, b, symbol(op), meter);
  switch (op) {
    case Operator::Less:
      return ordering < 0;
    case Operator::LessEqual:
      return ordering <= 0;
    case Operator::Greater:
      return ordering > 0;
    default:
      return ordering >= 0;
  }
}

Value negative(const Value& value) {
  if (value.is(Kind::Float)) return Value::real(-value.real());
  if (!value.whole()) throw Error(fmt::format("a {} cannot be negated", type_name(value)));
  if (value.integer() == INT64_MIN) overflow();
  return Value::integer(-value.integer());
}

Value positive(const Value& value) {
  if (value.is(Kind::Float)) return value;
  if (!value.whole()) throw Error(fmt::format("'+' cannot stand before a {}", type_name(value)));
  return Value::integer(value.integer());
}

Value get_item(const Value& object, const Value& key, Meter& meter) {
  if (object.undefined()) {
    throw Error("an undefined value has no items" +
                (key.is(Kind::Text) ? fmt::format(" ('{}')", printable(key.str(), 40)) : ""));
  }
  if (object.is(Kind::Dict) && hashable(key)) {
    if (const Value* found = object.dict().find(key, meter)) return *found;
  }
  if (key.whole()) return item_at(object, key.integer(), meter).value_or(Value());
  // As Jinja does, an item that is not there is looked for as an attribute.
  if (!key.is(Kind::Text)) return Value();
  const std::string& name = key.str();
  if (name.starts_with('_')) return Value();
  if (object.is(Kind::Namespace) || object.is(Kind::Loop)) return get_attribute(object, name, meter);
  return method_of(object, name, meter).value_or(Value());
}

Value get_attribute(const Value& object, const std::string& name, Meter& meter) {
  require_defined(object, name);
  switch (object.kind()) {
    case Kind::Namespace:
      for (const auto& [known, value] : static_cast<const Namespace*>(object.object())->attributes) {
        meter.step();
        if (known == name) return value;
      }
      return Value();
    case Kind::Loop:
      return loop_attribute(object, name, meter);
    case Kind::Macro:
    case Kind::Method:
    case Kind::Function:
      throw Error(fmt::format("attributes of a {} are not supported", type_name(object)));
    default:
      break;
  }
  if (std::optional<Value> method = method_of(object, name, meter)) return *method;
  if (object.is(Kind::Dict)) {
    if (const Value* found = object.dict().find(name, meter)) return *found;
  }
  return Value();
}

Value slice(const Value& object, const Value& start, const Value& stop, const Value& step, Meter& meter) {
  if (!object.is(Kind::Text) && !object.is(Kind::List) && !object.is(Kind::Tuple) && !object.is(Kind::Range)) {
    throw Error(fmt::format("a {} cannot be sliced", type_name(object)));
  }
  const Bounds bounds = slice_bounds(length_of(object), start, stop, step);
  const auto count = static_cast<size_t>(bounds.count);
  // Unsigned, because the step after the last item may leave the range of int64.
  const auto index = [&](size_t i) { return static_cast<size_t>(bounds.start) + i * static_cast<size_t>(bounds.step); };
  if (object.is(Kind::Range)) {
    const Range& range = object.range();
    int64_t first = 0, stride = 0, last = 0;
    if (__builtin_mul_overflow(range.step, bounds.step, &stride) ||
        __builtin_mul_overflow(range.step, bounds.stop, &last) ||
        __builtin_mul_overflow(range.step, bounds.start, &first) ||
        __builtin_add_overflow(first, range.start, &first) || __builtin_add_overflow(range.start, last, &last)) {
      overflow();
    }
    return Value::object(Kind::Range, std::make_shared<Range>(&meter, first, last, stride));
  }
  if (object.is(Kind::Text)) {
    const std::string& text = object.str();
    if (object.text().markup) throw Error("slicing a text marked safe is not supported");
    meter.copying(text.size());
    if (bounds.step == 1) {
      const size_t from = static_cast<size_t>(bounds.start);
      return make_text(&meter, object.text().ascii() ? text.substr(from, count)
                                                     : std::string(code_point_slice(text, from, from + count)));
    }
    const std::u32string codes = decode_all(text);
    std::u32string out;
    for (size_t i = 0; i < count; ++i) out += codes[index(i)];
    return make_text(&meter, encode_all(out));
  }
  const std::vector<Value>& values = object.items().values;
  std::vector<Value> out;
  meter.step(count);
  out.reserve(count);
  for (size_t i = 0; i < count; ++i) out.push_back(values[index(i)]);
  return make_list(&meter, std::move(out), object.kind());
}

}  // namespace duan::text::jinja
