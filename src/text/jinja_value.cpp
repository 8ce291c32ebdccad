#include "text/jinja_value.h"

#include <utf8proc.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/utf8.h"
#include "text/jinja_loop.h"
#include "text/jinja_text.h"

namespace duan::text::jinja {
namespace {

constexpr size_t kObjectBytes = 96;  // an object with its control block

int checked_depth(Meter* meter, int depth) {
  const int limit = meter != nullptr ? meter->limits.depth : TemplateLimits{}.depth;
  if (depth > limit) throw Error(fmt::format("values are nested deeper than {} levels", limit));
  return depth;
}

void append_repr(std::string& out, const Value& value, Meter& meter);

void append_items(std::string& out, const std::vector<Value>& values, Meter& meter) {
  for (size_t i = 0; i < values.size(); ++i) {
    if (i > 0) out += ", ";
    append_repr(out, values[i], meter);
  }
}

void append_repr(std::string& out, const Value& value, Meter& meter) {
  meter.step();
  switch (value.kind()) {
    case Kind::Undefined:
      out += "Undefined";
      break;
    case Kind::None:
      out += "None";
      break;
    case Kind::Bool:
      out += value.integer() != 0 ? "True" : "False";
      break;
    case Kind::Int:
      out += std::to_string(value.integer());
      break;
    case Kind::Float:
      out += float_repr(value.real());
      break;
    case Kind::Text:
      meter.limit_text(out.size() + value.str().size());
      meter.copying(value.str().size());
      if (value.text().markup) {
        throw Error("the repr of a text marked safe is not supported");
      }
      out += text_repr(value.str());
      break;
    case Kind::List:
      out += '[';
      append_items(out, value.items().values, meter);
      out += ']';
      break;
    case Kind::Tuple:
      out += '(';
      append_items(out, value.items().values, meter);
      out += value.items().values.size() == 1 ? ",)" : ")";
      break;
    case Kind::View:
      out += value.items().label;
      out += "([";
      append_items(out, value.items().values, meter);
      out += "])";
      break;
    case Kind::Dict: {
      out += '{';
      bool first = true;
      for (const auto& [key, item] : value.dict().entries) {
        if (!first) out += ", ";
        first = false;
        append_repr(out, key, meter);
        out += ": ";
        append_repr(out, item, meter);
      }
      out += '}';
      break;
    }
    case Kind::Range: {
      const Range& range = value.range();
      out += fmt::format("range({}, {}", range.start, range.stop);
      out += range.step == 1 ? ")" : fmt::format(", {})", range.step);
      break;
    }
    default:
      throw Error(fmt::format("a {} has no text", type_name(value)));
  }
  meter.limit_text(out.size());
}

// How Python orders numbers: exactly, without rounding the integer to a double.
std::partial_ordering order_numbers(const Value& a, const Value& b) {
  if (a.whole() && b.whole()) return a.integer() <=> b.integer();
  if (!a.whole() && !b.whole()) return a.real() <=> b.real();
  const bool swapped = !a.whole();
  const int64_t whole = swapped ? b.integer() : a.integer();
  const double real = swapped ? a.real() : b.real();
  std::partial_ordering result = std::partial_ordering::unordered;
  if (std::isnan(real)) return result;
  if (real >= 9223372036854775808.0) {
    result = std::partial_ordering::less;
  } else if (real < -9223372036854775808.0) {
    result = std::partial_ordering::greater;
  } else {
    const int64_t floor = static_cast<int64_t>(std::floor(real));
    result = whole != floor ? whole <=> floor : 0.0 <=> (real - std::floor(real));
  }
  return swapped ? 0 <=> result : result;
}

bool equal_items(const std::vector<Value>& a, const std::vector<Value>& b, Meter& meter) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i) {
    if (!equal(a[i], b[i], meter)) return false;
  }
  return true;
}

bool printable_code(char32_t code) {
  switch (utf8proc_category(static_cast<utf8proc_int32_t>(code))) {
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
      return false;
    case UTF8PROC_CATEGORY_ZS:
      return code == ' ';
    default:
      return true;
  }
}

}  // namespace

Text::Text(Meter* counter, std::string content, bool safe)
    : Object(counter, kObjectBytes + content.size()),
      value(std::move(content)),
      length(code_points(value)),
      markup(safe) {}

Items::Items(Meter* counter, std::vector<Value> content, int levels)
    : Object(counter, kObjectBytes + content.capacity() * sizeof(Value)), values(std::move(content)), depth(levels) {}

Dict::Dict(Meter* counter, Entries content, int levels)
    : Object(counter, kObjectBytes + content.capacity() * sizeof(Entries::value_type)),
      entries(std::move(content)),
      depth(levels) {}

Range::Range(Meter* counter, int64_t from, int64_t to, int64_t stride)
    : Object(counter, kObjectBytes), start(from), stop(to), step(stride) {
  // In unsigned arithmetic the distance of two int64 cannot overflow.
  const uint64_t size = step > 0 ? static_cast<uint64_t>(step) : 0 - static_cast<uint64_t>(step);
  const bool empty = step > 0 ? start >= stop : start <= stop;
  const uint64_t distance = step > 0 ? static_cast<uint64_t>(stop) - static_cast<uint64_t>(start)
                                     : static_cast<uint64_t>(start) - static_cast<uint64_t>(stop);
  const uint64_t count = empty ? 0 : (distance - 1) / size + 1;
  const int64_t limit = meter != nullptr ? meter->limits.range : TemplateLimits{}.range;
  if (count > static_cast<uint64_t>(limit)) {
    throw Error(fmt::format("range of {} items; at most {} are allowed", count, limit));
  }
  length = static_cast<int64_t>(count);
}

Method::Method(Meter* counter, Value receiver, std::string method)
    : Object(counter, kObjectBytes), self(std::move(receiver)), name(std::move(method)) {}

const Value* Dict::find(const Value& key, Meter& counter) const {
  counter.step(entries.size() / 16);
  for (const auto& [known, value] : entries) {
    if (known.is(Kind::Text) && key.is(Kind::Text)) {
      if (known.str() == key.str()) return &value;
    } else if (known.number() && key.number()) {
      if (order_numbers(known, key) == 0) return &value;
    } else if (known.kind() == key.kind()) {
      if (known.is(Kind::None)) return &value;
      if (known.is(Kind::Tuple) && equal(known, key, counter)) return &value;
    }
  }
  return nullptr;
}

const Value* Dict::find(std::string_view key, Meter& counter) const {
  counter.step(entries.size() / 16);
  for (const auto& [known, value] : entries) {
    if (known.is(Kind::Text) && known.str() == key) return &value;
  }
  return nullptr;
}

const Text& Value::text() const { return static_cast<const Text&>(*object_); }
const std::string& Value::str() const { return text().value; }
const Items& Value::items() const { return static_cast<const Items&>(*object_); }
const Dict& Value::dict() const { return static_cast<const Dict&>(*object_); }
const Range& Value::range() const { return static_cast<const Range&>(*object_); }

Value make_text(Meter* meter, std::string text, bool markup) {
  if (meter != nullptr) meter->check_text(text.size());
  return Value::object(Kind::Text, std::make_shared<Text>(meter, std::move(text), markup));
}

Value make_list(Meter* meter, std::vector<Value> values, Kind kind, const char* label) {
  int depth = 0;
  for (const Value& value : values) depth = std::max(depth, depth_of(value));
  if (meter != nullptr) meter->step(values.size() / 4);
  auto items = std::make_shared<Items>(meter, std::move(values), checked_depth(meter, depth + 1));
  items->label = label;
  return Value::object(kind, std::move(items));
}

Value make_dict(Meter* meter, Dict::Entries entries) {
  int depth = 0;
  for (const auto& [key, value] : entries) depth = std::max({depth, depth_of(key), depth_of(value)});
  if (meter != nullptr) meter->step(entries.size() / 4);
  return Value::object(Kind::Dict, std::make_shared<Dict>(meter, std::move(entries), checked_depth(meter, depth + 1)));
}

int depth_of(const Value& value) {
  switch (value.kind()) {
    case Kind::List:
    case Kind::Tuple:
    case Kind::View:
    case Kind::Iterator:
      return value.items().depth;
    case Kind::Dict:
      return value.dict().depth;
    case Kind::Loop:
      return 1 + static_cast<const LoopState*>(value.object())->source->depth;
    case Kind::Method:
      return 1 + depth_of(static_cast<const Method&>(*value.object()).self);
    default:
      return 0;
  }
}

Value from_json(const Json& json, int depth) {
  checked_depth(nullptr, depth);
  switch (json.type()) {
    case Json::value_t::null:
      return Value::none();
    case Json::value_t::boolean:
      return Value::boolean(json.get<bool>());
    case Json::value_t::number_integer:
      return Value::integer(json.get<int64_t>());
    case Json::value_t::number_unsigned: {
      const uint64_t number = json.get<uint64_t>();
      if (number > INT64_MAX) throw Error(fmt::format("the integer {} does not fit 64 bits with sign", number));
      return Value::integer(static_cast<int64_t>(number));
    }
    case Json::value_t::number_float:
      return Value::real(json.get<double>());
    case Json::value_t::string:
      return make_text(nullptr, utf8::replace_invalid(json.get_ref<const std::string&>()));
    case Json::value_t::array: {
      std::vector<Value> values;
      values.reserve(json.size());
      for (const Json& item : json) values.push_back(from_json(item, depth + 1));
      return make_list(nullptr, std::move(values));
    }
    case Json::value_t::object: {
      Dict::Entries entries;
      entries.reserve(json.size());
      for (const auto& [key, item] : json.items()) {
        entries.emplace_back(make_text(nullptr, utf8::replace_invalid(key)), from_json(item, depth + 1));
      }
      return make_dict(nullptr, std::move(entries));
    }
    default:
      throw Error("a JSON value of a kind templates do not know");
  }
}

const char* type_name(const Value& value) {
  switch (value.kind()) {
    case Kind::Undefined:
      return "Undefined";
    case Kind::None:
      return "NoneType";
    case Kind::Bool:
      return "bool";
    case Kind::Int:
      return "int";
    case Kind::Float:
      return "float";
    case Kind::Text:
      return "str";
    case Kind::List:
      return "list";
    case Kind::Tuple:
      return "tuple";
    case Kind::Dict:
      return "dict";
    case Kind::Range:
      return "range";
    case Kind::View:
      return value.items().label;
    case Kind::Iterator:
      return "iterator";
    case Kind::Namespace:
      return "namespace";
    case Kind::Loop:
      return "loop";
    case Kind::Method:
      return "method";
    case Kind::Macro:
      return "macro";
    case Kind::Function:
      return "function";
  }
  return "value";
}

bool truth(const Value& value) {
  switch (value.kind()) {
    case Kind::Undefined:
    case Kind::None:
      return false;
    case Kind::Bool:
    case Kind::Int:
      return value.integer() != 0;
    case Kind::Float:
      return value.real() != 0;
    case Kind::Text:
      return !value.str().empty();
    case Kind::List:
    case Kind::Tuple:
    case Kind::View:
      return !value.items().values.empty();
    case Kind::Dict:
      return !value.dict().entries.empty();
    case Kind::Range:
      return value.range().length > 0;
    default:
      return true;
  }
}

bool hashable(const Value& value) {
  switch (value.kind()) {
    case Kind::None:
    case Kind::Bool:
    case Kind::Int:
    case Kind::Float:
    case Kind::Text:
      return true;
    case Kind::Tuple:
      return std::all_of(value.items().values.begin(), value.items().values.end(), hashable);
    default:
      return false;
  }
}

bool equal(const Value& a, const Value& b, Meter& meter) {
  meter.step();
  if (a.number() && b.number()) return order_numbers(a, b) == 0;
  if (a.kind() != b.kind()) return false;
  switch (a.kind()) {
    case Kind::Undefined:
    case Kind::None:
      return true;
    case Kind::Text:
      meter.copying(a.str().size());
      return a.str() == b.str();
    case Kind::List:
    case Kind::Tuple:
      return equal_items(a.items().values, b.items().values, meter);
    case Kind::Dict: {
      if (a.dict().entries.size() != b.dict().entries.size()) return false;
      for (const auto& [key, value] : a.dict().entries) {
        const Value* other = b.dict().find(key, meter);
        if (other == nullptr || !equal(value, *other, meter)) return false;
      }
      return true;
    }
    case Kind::Range: {
      const Range &x = a.range(), &y = b.range();
      return x.length == y.length && (x.length == 0 || x.start == y.start) && (x.length < 2 || x.step == y.step);
    }
    case Kind::View:
      throw Error(fmt::format("comparing {} is not supported", type_name(a)));
    case Kind::Function:
      return a.integer() == b.integer();
    default:
      return a.object() == b.object();
  }
}

std::partial_ordering order(const Value& a, const Value& b, const char* op, Meter& meter) {
  meter.step();
  if (a.number() && b.number()) return order_numbers(a, b);
  // Bytes of UTF-8 sort as code points do.
  if (a.is(Kind::Text) && b.is(Kind::Text)) {
    meter.copying(std::min(a.str().size(), b.str().size()));
    return a.str().compare(b.str()) <=> 0;
  }
  if (a.kind() == b.kind() && (a.is(Kind::List) || a.is(Kind::Tuple))) {
    const std::vector<Value>&x = a.items().values, &y = b.items().values;
    for (size_t i = 0; i < std::min(x.size(), y.size()); ++i) {
      if (!equal(x[i], y[i], meter)) return order(x[i], y[i], op, meter);
    }
    return x.size() <=> y.size();
  }
  throw Error(fmt::format("'{}' is not supported between {} and {}", op, type_name(a), type_name(b)));
}

std::string to_str(const Value& value, Meter& meter) {
  if (value.is(Kind::Text)) {
    meter.check_text(value.str().size());
    return value.str();
  }
  if (value.undefined()) return "";
  return to_repr(value, meter);
}

std::string to_repr(const Value& value, Meter& meter) {
  std::string out;
  append_repr(out, value, meter);
  return out;
}

// The shortest digits that read back as the same double, laid out as Python's repr does.
std::string float_repr(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  char buffer[64];
  const auto end = std::to_chars(buffer, buffer + sizeof(buffer), value, std::chars_format::scientific).ptr;
  const std::string_view scientific(buffer, static_cast<size_t>(end - buffer));
  const size_t e = scientific.find('e');
  int exponent = 0;
  const size_t digits_from = e + (scientific[e + 1] == '+' ? 2 : 1);
  std::from_chars(scientific.data() + digits_from, end, exponent);
  if (exponent >= -4 && exponent < 16) {
    const auto fixed = std::to_chars(buffer, buffer + sizeof(buffer), value, std::chars_format::fixed).ptr;
    std::string text(buffer, static_cast<size_t>(fixed - buffer));
    return text.find('.') == std::string::npos ? text + ".0" : text;
  }
  return fmt::format("{}e{}{:02}", scientific.substr(0, e), exponent < 0 ? '-' : '+', std::abs(exponent));
}

std::string text_repr(std::string_view text) {
  const char quote = text.find('\'') != text.npos && text.find('"') == text.npos ? '"' : '\'';
  std::string out(1, quote);
  while (!text.empty()) {
    const utf8::Decoded step = utf8::decode(text);
    const char32_t code = step.code;
    if (code == static_cast<unsigned char>(quote) || code == '\\') {
      out += '\\';
      out += static_cast<char>(code);
    } else if (code == '\n') {
      out += "\\n";
    } else if (code == '\r') {
      out += "\\r";
    } else if (code == '\t') {
      out += "\\t";
    } else if (printable_code(code)) {
      out += text.substr(0, step.bytes);
    } else if (code < 0x100) {
      out += fmt::format("\\x{:02x}", static_cast<uint32_t>(code));
    } else if (code < 0x10000) {
      out += fmt::format("\\u{:04x}", static_cast<uint32_t>(code));
    } else {
      out += fmt::format("\\U{:08x}", static_cast<uint32_t>(code));
    }
    text.remove_prefix(step.bytes);
  }
  return out + quote;
}

bool iterable(const Value& value) {
  switch (value.kind()) {
    case Kind::Undefined:
    case Kind::Text:
    case Kind::List:
    case Kind::Tuple:
    case Kind::Dict:
    case Kind::Range:
    case Kind::View:
    case Kind::Iterator:
      return true;
    default:
      return false;
  }
}

std::shared_ptr<const Items> iterate(const Value& value, Meter& meter) {
  std::vector<Value> values;
  switch (value.kind()) {
    case Kind::List:
    case Kind::Tuple:
    case Kind::View:
      return value.as<Items>();
    case Kind::Iterator: {
      const Items& items = value.items();
      if (!items.used && items.next == 0) {
        items.used = true;
        return value.as<Items>();
      }
      if (!items.used) values.assign(items.values.begin() + static_cast<ptrdiff_t>(items.next), items.values.end());
      items.used = true;
      break;
    }
    case Kind::Undefined:
      break;
    case Kind::Text: {
      std::string_view text = value.str();
      meter.step(value.text().length);
      // 32 bytes for each value, and an object for each character.
      meter.charge(value.text().length * sizeof(Value));
      meter.release(value.text().length * sizeof(Value));
      values.reserve(value.text().length);
      while (!text.empty()) {
        const size_t bytes = utf8::decode(text).bytes;
        values.push_back(make_text(&meter, std::string(text.substr(0, bytes))));
        text.remove_prefix(bytes);
      }
      break;
    }
    case Kind::Dict:
      values.reserve(value.dict().entries.size());
      for (const auto& [key, item] : value.dict().entries) values.push_back(key);
      break;
    case Kind::Range:
      meter.step(static_cast<uint64_t>(value.range().length) / 4);
      values.reserve(static_cast<size_t>(value.range().length));
      for (int64_t i = 0; i < value.range().length; ++i) values.push_back(value.range().at(i));
      break;
    default:
      throw Error(fmt::format("a {} cannot be iterated", type_name(value)));
  }
  return make_list(&meter, std::move(values)).as<Items>();
}

int64_t length_of(const Value& value) {
  switch (value.kind()) {
    case Kind::Undefined:
      return 0;
    case Kind::Text:
      return static_cast<int64_t>(value.text().length);
    case Kind::List:
    case Kind::Tuple:
    case Kind::View:
      return static_cast<int64_t>(value.items().values.size());
    case Kind::Dict:
      return static_cast<int64_t>(value.dict().entries.size());
    case Kind::Range:
      return value.range().length;
    default:
      throw Error(fmt::format("a {} has no length", type_name(value)));
  }
}

}  // namespace duan::text::jinja
