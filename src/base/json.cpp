#include "base/json.h"

#include <cmath>
#include <fstream>
#include <limits>
#include <type_traits>
#include <unordered_set>

#include "base/error.h"

namespace duan {
namespace {

// Builds the document by hand: ordered_json looks every new key up linearly, which a vocabulary of 150,000 cannot bear.
class Builder final : public nlohmann::json_sax<Json> {
 public:
  Builder(const std::string& where, int max_depth) : where_(where), max_depth_(max_depth) {}

  bool null() override { return add(Json(nullptr)); }
  bool boolean(bool v) override { return add(Json(v)); }
  bool number_integer(number_integer_t v) override { return add(Json(v)); }
  bool number_unsigned(number_unsigned_t v) override { return add(Json(v)); }
  bool number_float(number_float_t v, const string_t&) override { return add(Json(v)); }
  bool string(string_t& v) override { return add(Json(std::move(v))); }
  bool binary(binary_t&) override { return false; }
  bool start_object(std::size_t) override { return open(Json::object()); }
  bool start_array(std::size_t) override { return open(Json::array()); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }
  bool key(string_t& k) override {
    if (!stack_.back().keys.insert(k).second) throw Error(fmt::format("duplicate key \"{}\"", printable(k)), where_);
    stack_.back().key = std::move(k);
    return true;
  }
  bool parse_error(std::size_t, const std::string&, const nlohmann::detail::exception& e) override {
    std::string what = e.what();  // "[json.exception.parse_error.101] parse error at line 1, column 2: …"
    if (const size_t end = what.find("] "); end != std::string::npos) what = what.substr(end + 2);
    throw Error("not valid JSON: " + printable(what, 300), where_);
  }

  Json take() { return std::move(root_); }

 private:
  struct Level {
    Json value;
    std::string key;
    std::unordered_set<std::string> keys;
  };

  bool open(Json value) {
    if (static_cast<int>(stack_.size()) >= max_depth_) {
      throw Error(fmt::format("JSON nested deeper than {} levels", max_depth_), where_);
    }
    stack_.push_back({std::move(value), {}, {}});
    return true;
  }
  bool close() {
    Json done = std::move(stack_.back().value);
    stack_.pop_back();
    return add(std::move(done));
  }
  bool add(Json value) {
    if (stack_.empty()) {
      root_ = std::move(value);
      return true;
    }
    Level& top = stack_.back();
    if (top.value.is_array()) {
      top.value.get_ref<Json::array_t&>().push_back(std::move(value));
    } else {
      // ordered_map is a vector of pairs; its base's emplace_back does not search.
      using Pairs = std::vector<Json::object_t::value_type>;
      static_cast<Pairs&>(top.value.get_ref<Json::object_t&>()).emplace_back(std::move(top.key), std::move(value));
    }
    return true;
  }

  const std::string& where_;
  int max_depth_;
  std::vector<Level> stack_;
  Json root_;
};

[[noreturn]] void wrong_type(const Json& value, const std::string& key, const char* expected,
                             const std::string& where) {
  throw Error(fmt::format("\"{}\" is {}, expected {}", key, printable(to_text(value), 60), expected), where);
}

}  // namespace

Json parse_json(std::string_view text, const std::string& where, const JsonLimits& limits) {
  if (text.size() > limits.max_bytes) {
    throw Error(fmt::format("JSON of {} bytes, at most {} are read", text.size(), limits.max_bytes), where);
  }
  Builder builder(where, limits.max_depth);
  Json::sax_parse(text.begin(), text.end(), &builder);
  return builder.take();
}

std::string read_file(const std::filesystem::path& file, size_t max_bytes) {
  std::error_code error;
  if (std::filesystem::is_directory(file, error)) throw Error("is a folder, expected a file", file.string());
  std::ifstream in(file, std::ios::binary);
  if (!in) {
    throw Error(std::filesystem::exists(file, error) ? "cannot be opened for reading" : "no such file", file.string());
  }
  std::string bytes;
  char buffer[1 << 16];
  while (in.read(buffer, sizeof buffer), in.gcount() > 0) {
    bytes.append(buffer, static_cast<size_t>(in.gcount()));
    if (bytes.size() > max_bytes) {
      throw Error(fmt::format("larger than the {} bytes that are read of such a file", max_bytes), file.string());
    }
  }
  if (in.bad()) throw Error("could not be read to its end", file.string());
  return bytes;
}

Json read_json(const std::filesystem::path& file, const JsonLimits& limits) {
  return parse_json(read_file(file, limits.max_bytes), file.string(), limits);
}

template <typename T>
T json_at(const Json& object, const std::string& key, const std::string& where) {
  const auto it = object.is_object() ? object.find(key) : object.end();
  if (it == object.end()) throw Error(fmt::format("\"{}\" is missing", key), where);
  const Json& value = *it;
  if constexpr (std::is_same_v<T, bool>) {
    if (!value.is_boolean()) wrong_type(value, key, "true or false", where);
    return value.get<bool>();
  } else if constexpr (std::is_integral_v<T>) {
    if (!value.is_number_integer()) wrong_type(value, key, "an integer", where);
    const bool fits = value.is_number_unsigned()
                          ? value.get<uint64_t>() <= static_cast<uint64_t>(std::numeric_limits<T>::max())
                          : value.get<int64_t>() >= static_cast<int64_t>(std::numeric_limits<T>::min());
    if (!fits) wrong_type(value, key, "an integer in range", where);
    return value.get<T>();
  } else if constexpr (std::is_floating_point_v<T>) {
    if (!value.is_number() || !std::isfinite(value.get<T>())) wrong_type(value, key, "a finite number", where);
    return value.get<T>();
  } else if constexpr (std::is_same_v<T, std::string>) {
    if (!value.is_string()) wrong_type(value, key, "a string", where);
    return value.get<std::string>();
  } else {
    return value;
  }
}

template <typename T>
T json_or(const Json& object, const std::string& key, T fallback, const std::string& where) {
  const auto it = object.is_object() ? object.find(key) : object.end();
  if (it == object.end() || it->is_null()) return fallback;
  return json_at<T>(object, key, where);
}

#define DUAN_JSON_TYPE(T)                                                     \
  template T json_at<T>(const Json&, const std::string&, const std::string&); \
  template T json_or<T>(const Json&, const std::string&, T, const std::string&);
DUAN_JSON_TYPE(bool)
DUAN_JSON_TYPE(int32_t)
DUAN_JSON_TYPE(int64_t)
DUAN_JSON_TYPE(uint64_t)
DUAN_JSON_TYPE(float)
DUAN_JSON_TYPE(double)
DUAN_JSON_TYPE(std::string)
DUAN_JSON_TYPE(Json)
#undef DUAN_JSON_TYPE

std::string to_text(const Json& json, int indent) {
  return json.dump(indent, ' ', false, Json::error_handler_t::replace);
}

}  // namespace duan
