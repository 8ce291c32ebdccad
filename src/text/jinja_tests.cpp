// The tests of `value is test(arguments)`.
#include <algorithm>
#include <iterator>

#include "base/error.h"
#include "text/jinja_builtins.h"
#include "text/jinja_operators.h"
#include "text/jinja_text.h"

namespace duan::text::jinja {
namespace {

using Test = bool (*)(const Value& value, Arguments& arguments, Meter& meter);

template <Kind kind>
bool is_kind(const Value& value, Arguments& arguments, Meter&) {
  arguments.finish(0);
  return value.is(kind);
}

template <Operator op>
bool compares(const Value& value, Arguments& arguments, Meter& meter) {
  const Value other = arguments.need(0, "");
  arguments.finish(1);
  return compare(op, value, other, meter);
}

bool equals_whole(const Value& value, int64_t divisor, int64_t rest, Meter& meter) {
  const Value left = binary(Operator::Modulo, value, Value::integer(divisor), meter);
  return equal(left, Value::integer(rest), meter);
}

bool same(const Value& a, const Value& b) {
  if (a.kind() != b.kind()) return false;
  switch (a.kind()) {
    case Kind::None:
      return true;
    case Kind::Bool:
    case Kind::Int:
    case Kind::Function:
      return a.integer() == b.integer();
    case Kind::Float:
      return a.real() == b.real();
    case Kind::Text:
      return a.str() == b.str();
    default:
      return a.object() == b.object();
  }
}

struct Entry {
  std::string_view name;
  Test test;
};

constexpr Entry kTests[] = {
    {"defined", [](const Value& v, Arguments& a, Meter&) { return a.finish(0), !v.undefined(); }},
    {"undefined", is_kind<Kind::Undefined>},
    {"none", is_kind<Kind::None>},
    {"boolean", is_kind<Kind::Bool>},
    {"integer", is_kind<Kind::Int>},
    {"float", is_kind<Kind::Float>},
    {"string", is_kind<Kind::Text>},
    {"mapping", is_kind<Kind::Dict>},
    {"number", [](const Value& v, Arguments& a, Meter&) { return a.finish(0), v.number(); }},
    {"true", [](const Value& v, Arguments& a, Meter&) { return a.finish(0), v.is(Kind::Bool) && v.integer() != 0; }},
    {"false", [](const Value& v, Arguments& a, Meter&) { return a.finish(0), v.is(Kind::Bool) && v.integer() == 0; }},
    {"iterable", [](const Value& v, Arguments& a, Meter&) { return a.finish(0), iterable(v); }},
    {"sequence",
     [](const Value& v, Arguments& a, Meter&) {
       a.finish(0);
       return v.undefined() || v.is(Kind::Text) || v.is(Kind::List) || v.is(Kind::Tuple) || v.is(Kind::Dict) ||
              v.is(Kind::Range);
     }},
    {"callable",
     [](const Value& v, Arguments& a, Meter&) {
       a.finish(0);
       // Undefined has __call__ too, which only raises.
       return v.undefined() || v.is(Kind::Method) || v.is(Kind::Macro) || v.is(Kind::Function) || v.is(Kind::Loop);
     }},
    {"odd", [](const Value& v, Arguments& a, Meter& m) { return a.finish(0), equals_whole(v, 2, 1, m); }},
    {"even", [](const Value& v, Arguments& a, Meter& m) { return a.finish(0), equals_whole(v, 2, 0, m); }},
    {"divisibleby",
     [](const Value& v, Arguments& a, Meter& m) {
       const Value divisor = a.need(0, "num");
       a.finish(1);
       return equal(binary(Operator::Modulo, v, divisor, m), Value::integer(0), m);
     }},
    {"sameas",
     [](const Value& v, Arguments& a, Meter&) {
       const Value other = a.need(0, "other");
       a.finish(1);
       return same(v, other);
     }},
    {"lower", [](const Value& v, Arguments& a, Meter& m) { return a.finish(0), is_lower(to_str(v, m)); }},
    {"upper", [](const Value& v, Arguments& a, Meter& m) { return a.finish(0), is_upper(to_str(v, m)); }},
    {"in", compares<Operator::In>},
    {"eq", compares<Operator::Equal>},
    {"equalto", compares<Operator::Equal>},
    {"==", compares<Operator::Equal>},
    {"ne", compares<Operator::NotEqual>},
    {"!=", compares<Operator::NotEqual>},
    {"lt", compares<Operator::Less>},
    {"lessthan", compares<Operator::Less>},
    {"<", compares<Operator::Less>},
    {"le", compares<Operator::LessEqual>},
    {"<=", compares<Operator::LessEqual>},
    {"gt", compares<Operator::Greater>},
    {"greaterthan", compares<Operator::Greater>},
    {">", compares<Operator::Greater>},
    {"ge", compares<Operator::GreaterEqual>},
    {">=", compares<Operator::GreaterEqual>},
};

}  // namespace

int find_test(std::string_view name) {
  const auto found =
      std::find_if(std::begin(kTests), std::end(kTests), [&](const Entry& entry) { return entry.name == name; });
  return found == std::end(kTests) ? -1 : static_cast<int>(found - std::begin(kTests));
}

bool call_test(int test, const Value& input, Arguments arguments, Meter& meter) {
  meter.step();
  return kTests[test].test(input, arguments, meter);
}

}  // namespace duan::text::jinja
