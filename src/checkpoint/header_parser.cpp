#include "checkpoint/header_parser.h"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <optional>
#include <unordered_set>

#include "base/error.h"
#include "base/utf8.h"

namespace duan::checkpoint {
namespace {

class Parser {
 public:
  Parser(std::string_view text, const std::string& where) : text_(text), where_(where) {}

  void run(SafetensorsHeader& header) {
    if (text_.empty() || text_[0] != '{') throw Error("the header does not start with '{'", where_);
    bool has_metadata = false;
    object([&](std::string& name) {
      if (name == "__metadata__") {
        if (has_metadata) throw Error("the header has a duplicate \"__metadata__\"", where_);
        has_metadata = true;
        metadata(header);
      } else {
        header.entries.push_back(entry(std::move(name)));
      }
    });
    skip_space();
    if (at_ != text_.size()) fail("text after the header's closing brace");
  }

 private:
  [[noreturn]] void fail(const std::string& what) const {
    throw Error(fmt::format("the header is not valid JSON of a safetensors file: {} at byte {}", what, 8 + at_),
                where_);
  }
  [[noreturn]] void fail_entry(const std::string& name, const std::string& what) const {
    throw Error(fmt::format("tensor \"{}\": {}", printable(name), what), where_);
  }

  void skip_space() {
    while (at_ < text_.size() &&
           (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\r' || text_[at_] == '\t')) {
      ++at_;
    }
  }
  char peek() {
    skip_space();
    if (at_ == text_.size()) fail("unexpected end");
    return text_[at_];
  }
  void expect(char wanted) {
    if (const char found = peek(); found != wanted) {
      fail(fmt::format("found '{}', expected '{}'", printable(std::string_view(&found, 1)), wanted));
    }
    ++at_;
  }

  // Calls member(key) for each key, with the value next.
  template <typename Member>
  void object(Member&& member) {
    expect('{');
    if (peek() == '}') {
      ++at_;
      return;
    }
    while (true) {
      std::string key = string();
      expect(':');
      member(key);
      if (peek() == '}') break;
      expect(',');
    }
    ++at_;
  }

  template <typename Element>
  void array(Element&& element) {
    expect('[');
    if (peek() == ']') {
      ++at_;
      return;
    }
    while (true) {
      element();
      if (peek() == ']') break;
      expect(',');
    }
    ++at_;
  }

  std::string string() {
    if (peek() != '"') fail("expected a string");
    const size_t begin = ++at_;
    while (at_ < text_.size() && text_[at_] != '"' && text_[at_] != '\\' && static_cast<uint8_t>(text_[at_]) >= 0x20) {
      ++at_;
    }
    std::string out(text_.substr(begin, at_ - begin));
    while (true) {  // the rest, if the scan stopped at an escape
      if (at_ == text_.size()) fail("a string without its end");
      const char c = text_[at_];
      if (c == '"') break;
      if (static_cast<uint8_t>(c) < 0x20) fail("a control character in a string");
      ++at_;
      if (c == '\\') {
        escape(out);
      } else {
        out += c;
      }
    }
    ++at_;
    if (!utf8::is_valid(out)) fail("a string that is not valid UTF-8");
    return out;
  }

  void escape(std::string& out) {
    if (at_ == text_.size()) fail("a string without its end");
    switch (const char c = text_[at_++]) {
      case '"':
      case '\\':
      case '/':
        out += c;
        return;
      case 'b':
        out += '\b';
        return;
      case 'f':
        out += '\f';
        return;
      case 'n':
        out += '\n';
        return;
      case 'r':
        out += '\r';
        return;
      case 't':
        out += '\t';
        return;
      case 'u':
        break;
      default:
        fail("an unknown escape in a string");
    }
    char32_t code = hex4();
    if (code >= 0xDC00 && code <= 0xDFFF) fail("a lone surrogate in a string");
    if (code >= 0xD800 && code <= 0xDBFF) {
      if (text_.substr(at_, 2) != "\\u") fail("a lone surrogate in a string");
      at_ += 2;
      const char32_t low = hex4();
      if (low < 0xDC00 || low > 0xDFFF) fail("a lone surrogate in a string");
      code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
    }
    utf8::append(out, code);
  }

  char32_t hex4() {
    if (text_.size() - at_ < 4) fail("a \\u escape without four digits");
    char32_t code = 0;
    for (int i = 0; i < 4; ++i) {
      const char c = text_[at_++];
      const int digit = c >= '0' && c <= '9'   ? c - '0'
                        : c >= 'a' && c <= 'f' ? c - 'a' + 10
                        : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                               : -1;
      if (digit < 0) fail("a \\u escape without four digits");
      code = code * 16 + static_cast<char32_t>(digit);
    }
    return code;
  }

  // An integer in [0, 2^63): everything else that JSON calls a number is refused.
  int64_t integer(const std::string& name, const char* field) {
    const char first = peek();
    const size_t begin = at_;
    int64_t value = 0;
    bool fits = true;
    for (; at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9'; ++at_) {
      fits = fits && !__builtin_mul_overflow(value, 10, &value) &&
             !__builtin_add_overflow(value, text_[at_] - '0', &value);
    }
    const bool digits = at_ > begin && (first != '0' || at_ == begin + 1);
    const bool ended = at_ < text_.size() && text_[at_] != '.' && text_[at_] != 'e' && text_[at_] != 'E';
    if (!digits || !ended) fail_entry(name, fmt::format("{} has a value that is not a non-negative integer", field));
    if (!fits) fail_entry(name, fmt::format("{} has a value of 2^63 or more", field));
    return value;
  }

  TensorEntry entry(std::string name) {
    if (name.empty()) throw Error("a tensor has an empty name", where_);
    if (name.size() > kMaxNameBytes) {
      fail_entry(name, fmt::format("the name has {} bytes, at most {} are allowed", name.size(), kMaxNameBytes));
    }
    if (name.find('\0') != std::string::npos) fail_entry(name, "the name contains a NUL");

    std::optional<DType> dtype;
    std::optional<Shape> shape;
    std::optional<std::pair<size_t, size_t>> offsets;
    if (peek() != '{') fail_entry(name, "its value is not an object");
    object([&](const std::string& field) {
      if (field == "dtype" && !dtype) {
        if (peek() != '"') fail_entry(name, "dtype is not a string");
        const std::string spelled = string();
        dtype = dtype_from_name(spelled);
        if (!dtype) {
          fail_entry(name, fmt::format("dtype \"{}\" is not supported (F32, F16, BF16, I8, U8, I32, I64, BOOL are)",
                                       printable(spelled, 24)));
        }
      } else if (field == "shape" && !shape) {
        shape = extents(name);
      } else if (field == "data_offsets" && !offsets) {
        offsets = offset_pair(name);
      } else if (field == "dtype" || field == "shape" || field == "data_offsets") {
        fail_entry(name, fmt::format("duplicate field \"{}\"", field));
      } else {
        fail_entry(name, fmt::format("unknown field \"{}\"", printable(field, 40)));
      }
    });
    if (!dtype) fail_entry(name, "\"dtype\" is missing");
    if (!shape) fail_entry(name, "\"shape\" is missing");
    if (!offsets) fail_entry(name, "\"data_offsets\" is missing");

    const std::optional<int64_t> elements = element_count(*shape);
    int64_t bytes = 0;
    if (!elements || __builtin_mul_overflow(*elements, static_cast<int64_t>(dtype_size(*dtype)), &bytes)) {
      fail_entry(name, fmt::format("shape {} has more elements than fit 63 bits (overflow)", to_string(*shape)));
    }
    const auto [begin, end] = *offsets;
    if (begin > end) fail_entry(name, fmt::format("data_offsets [{}, {}] end before they begin", begin, end));
    if (end - begin != static_cast<size_t>(bytes)) {
      fail_entry(name, fmt::format("data_offsets [{}, {}] span {} bytes, but {} {} needs {}", begin, end, end - begin,
                                   dtype_name(*dtype), to_string(*shape), bytes));
    }
    return {std::move(name), *dtype, std::move(*shape), begin, end};
  }

  Shape extents(const std::string& name) {
    if (peek() != '[') fail_entry(name, "shape is not a list");
    Shape shape;
    array([&] {
      if (shape.size() == kMaxDims) fail_entry(name, fmt::format("shape has more than {} dimensions", kMaxDims));
      shape.push_back(integer(name, "shape"));
    });
    shape.shrink_to_fit();
    return shape;
  }

  std::pair<size_t, size_t> offset_pair(const std::string& name) {
    if (peek() != '[') fail_entry(name, "data_offsets is not a list");
    size_t values[2] = {0, 0};
    size_t count = 0;
    array([&] {
      if (count == 2) fail_entry(name, "data_offsets has more than two values");
      values[count++] = static_cast<size_t>(integer(name, "data_offsets"));
    });
    if (count != 2) fail_entry(name, fmt::format("data_offsets has {} values, expected two", count));
    return {values[0], values[1]};
  }

  void metadata(SafetensorsHeader& header) {
    if (peek() == 'n') {  // the reference reader takes null for absent
      if (text_.substr(at_, 4) != "null") fail("expected null");
      at_ += 4;
      return;
    }
    if (peek() != '{') throw Error("\"__metadata__\" is not an object of strings", where_);
    std::unordered_set<std::string> keys;
    object([&](std::string& key) {
      if (!keys.insert(key).second) {
        throw Error(fmt::format("duplicate key \"{}\" in \"__metadata__\"", printable(key)), where_);
      }
      if (peek() != '"') {
        throw Error(fmt::format("\"__metadata__\" has a value that is not a string, at \"{}\"", printable(key)),
                    where_);
      }
      std::string value = string();
      header.metadata.emplace_back(std::move(key), std::move(value));
    });
  }

  std::string_view text_;
  const std::string& where_;
  size_t at_ = 0;
};

}  // namespace

void parse_header_json(std::string_view text, const std::string& where, SafetensorsHeader& header) {
  Parser(text, where).run(header);
}

}  // namespace duan::checkpoint
