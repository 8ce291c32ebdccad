// The values of a template: Python's, as far as templates need them. Copies are cheap (shared, immutable content).
// Only namespaces and iterators change after they were made.
#pragma once

#include <compare>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json.h"
#include "text/jinja_limits.h"

namespace duan::text::jinja {

enum class Kind : uint8_t {
  Undefined,
  None,
  Bool,
  Int,
  Float,
  Text,
  List,
  Tuple,
  Dict,
  Range,
  View,
  Iterator,
  Namespace,
  Loop,
  Method,
  Macro,
  Function,
};

// Content of a value on the heap, charged to the meter (none: part of the parsed template) while it lives.
struct Object {
  Object(Meter* counter, size_t size) : meter(counter), bytes(size) {
    if (meter != nullptr) meter->charge(bytes);
  }
  Object(const Object&) = delete;
  Object& operator=(const Object&) = delete;
  virtual ~Object() {
    if (meter != nullptr) meter->release(bytes);
  }
  Meter* meter;
  size_t bytes;
};

struct Text;
struct Items;
struct Dict;
struct Range;

class Value {
 public:
  Value() = default;  // undefined
  static Value none() { return Value(Kind::None); }
  static Value boolean(bool value) {
    Value result(Kind::Bool);
    result.integer_ = value ? 1 : 0;
    return result;
  }
  static Value integer(int64_t value) {
    Value result(Kind::Int);
    result.integer_ = value;
    return result;
  }
  static Value real(double value) {
    Value result(Kind::Float);
    result.real_ = value;
    return result;
  }
  static Value object(Kind kind, std::shared_ptr<Object> content) {
    Value result(kind);
    result.object_ = std::move(content);
    return result;
  }
  static Value function(int id) {
    Value result(Kind::Function);
    result.integer_ = id;
    return result;
  }

  Kind kind() const { return kind_; }
  bool is(Kind kind) const { return kind_ == kind; }
  bool undefined() const { return kind_ == Kind::Undefined; }
  bool whole() const { return kind_ == Kind::Int || kind_ == Kind::Bool; }  // counts as an int in Python
  bool number() const { return whole() || kind_ == Kind::Float; }
  int64_t integer() const { return integer_; }  // Bool, Int, Function
  double real() const { return kind_ == Kind::Float ? real_ : static_cast<double>(integer_); }
  const Object* object() const { return object_.get(); }
  const Text& text() const;
  const std::string& str() const;  // the bytes of a Text
  const Items& items() const;      // List, Tuple, View, Iterator
  const Dict& dict() const;
  const Range& range() const;
  template <typename T>
  std::shared_ptr<T> as() const {
    return std::static_pointer_cast<T>(object_);
  }

 private:
  explicit Value(Kind kind) : kind_(kind) {}

  Kind kind_ = Kind::Undefined;
  union {
    int64_t integer_ = 0;
    double real_;
  };
  std::shared_ptr<Object> object_;
};

struct Text : Object {
  Text(Meter* counter, std::string content, bool safe);
  std::string value;  // valid UTF-8
  size_t length;      // in code points
  bool markup;        // went through the filter `safe`
  bool ascii() const { return length == value.size(); }
};

struct Items : Object {
  Items(Meter* counter, std::vector<Value> content, int levels);
  std::vector<Value> values;
  int depth;                  // of nested containers
  const char* label = "";     // View: dict_keys, dict_values, dict_items
  mutable bool used = false;  // Iterator: can be walked only once
  mutable size_t next = 0;    // Iterator: what the filter `first` already took
};

struct Dict : Object {
  using Entries = std::vector<std::pair<Value, Value>>;
  Dict(Meter* counter, Entries content, int levels);
  Entries entries;  // in order of insertion, keys distinct
  int depth;
  const Value* find(const Value& key, Meter& counter) const;  // key hashable
  const Value* find(std::string_view key, Meter& counter) const;
};

struct Range : Object {
  Range(Meter* counter, int64_t from, int64_t to, int64_t stride);
  int64_t start, stop, step, length;
  Value at(int64_t index) const { return Value::integer(start + index * step); }
};

struct Namespace : Object {
  explicit Namespace(Meter* counter) : Object(counter, 160) {}
  std::vector<std::pair<std::string, Value>> attributes;
};

struct Method : Object {  // a method taken from a value and not yet called
  Method(Meter* counter, Value receiver, std::string method);
  Value self;
  std::string name;
};

// Throw Error where a limit is passed. A null meter means: part of the template, which is small.
Value make_text(Meter* meter, std::string text, bool markup = false);
Value make_list(Meter* meter, std::vector<Value> values, Kind kind = Kind::List, const char* label = "");
Value make_dict(Meter* meter, Dict::Entries entries);
// A document the caller already holds; not charged to a meter.
Value from_json(const Json& json, int depth = 0);

int depth_of(const Value& value);

const char* type_name(const Value& value);  // Python's: "str", "NoneType"

bool truth(const Value& value);
bool hashable(const Value& value);
// Python's ==, and its order for <, <=, >, >= (Error where Python has none). `op` is for the message.
bool equal(const Value& a, const Value& b, Meter& meter);
std::partial_ordering order(const Value& a, const Value& b, const char* op, Meter& meter);

// str() and repr(). Error for values whose text in Python is an address.
std::string to_str(const Value& value, Meter& meter);
std::string to_repr(const Value& value, Meter& meter);
std::string float_repr(double value);
std::string text_repr(std::string_view text);

// What `for` would walk over, as a list. Error if the value cannot be iterated.
std::shared_ptr<const Items> iterate(const Value& value, Meter& meter);
bool iterable(const Value& value);
// len(); Error if the value has none.
int64_t length_of(const Value& value);

}  // namespace duan::text::jinja
