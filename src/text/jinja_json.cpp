// json.dumps of Python, which the filter tojson is in transformers.
#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/utf8.h"
#include "text/jinja_builtins.h"

namespace duan::text::jinja {
namespace {

class Writer {
 public:
  Writer(const JsonStyle& style, Meter& meter) : style_(style), meter_(meter) {}

  void write(const Value& value, int level) {
    meter_.step();
    switch (value.kind()) {
      case Kind::None:
        out_ += "null";
        break;
      case Kind::Bool:
        out_ += value.integer() != 0 ? "true" : "false";
        break;
      case Kind::Int:
        out_ += std::to_string(value.integer());
        break;
      case Kind::Float:
        out_ += number(value.real());
        break;
      case Kind::Text:
        string(value.str());
        break;
      case Kind::List:
      case Kind::Tuple: {
        const std::vector<Value>& values = value.items().values;
        if (values.empty()) {
          out_ += "[]";
          break;
        }
        out_ += '[';
        for (size_t i = 0; i < values.size(); ++i) {
          separate(i > 0, level + 1);
          write(values[i], level + 1);
        }
        close(']', level);
        break;
      }
      case Kind::Dict:
        dict(value.dict(), level);
        break;
      default:
        throw Error(fmt::format("tojson: a {} has no JSON form", type_name(value)));
    }
  }

  std::string take() {
    meter_.limit_text(out_.size());
    return std::move(out_);
  }

 private:
  static std::string number(double value) {
    if (std::isnan(value)) return "NaN";
    if (std::isinf(value)) return value > 0 ? "Infinity" : "-Infinity";
    return float_repr(value);
  }

  void newline(int level) {
    out_ += '\n';
    for (int i = 0; i < level; ++i) out_ += style_.indent;
    meter_.limit_text(out_.size());
  }

  void separate(bool comma, int level) {
    if (comma) out_ += style_.item_separator;
    if (style_.pretty) newline(level);
  }

  void close(char bracket, int level) {
    if (style_.pretty) newline(level);
    out_ += bracket;
  }

  void dict(const Dict& dict, int level) {
    if (dict.entries.empty()) {
      out_ += "{}";
      return;
    }
    std::vector<const std::pair<Value, Value>*> entries;
    for (const auto& entry : dict.entries) entries.push_back(&entry);
    if (style_.sort_keys) {
      std::stable_sort(entries.begin(), entries.end(),
                       [&](const auto* a, const auto* b) { return order(a->first, b->first, "<", meter_) < 0; });
    }
    out_ += '{';
    bool first = true;
    for (const auto* entry : entries) {
      separate(!first, level + 1);
      first = false;
      key(entry->first);
      out_ += style_.key_separator;
      write(entry->second, level + 1);
    }
    close('}', level);
  }

  void key(const Value& value) {
    switch (value.kind()) {
      case Kind::Text:
        return string(value.str());
      case Kind::None:
        out_ += "\"null\"";
        return;
      case Kind::Bool:
        out_ += value.integer() != 0 ? "\"true\"" : "\"false\"";
        return;
      case Kind::Int:
        out_ += '"' + std::to_string(value.integer()) + '"';
        return;
      case Kind::Float:
        out_ += '"' + number(value.real()) + '"';
        return;
      default:
        throw Error(fmt::format("tojson: a {} cannot be a key", type_name(value)));
    }
  }

  void string(std::string_view text) {
    meter_.limit_text(out_.size() + text.size());
    meter_.copying(text.size());
    out_ += '"';
    while (!text.empty()) {
      const utf8::Decoded step = utf8::decode(text);
      const auto code = static_cast<uint32_t>(step.code);
      if (code == '"' || code == '\\') {
        out_ += '\\';
        out_ += static_cast<char>(code);
      } else if (code == '\n') {
        out_ += "\\n";
      } else if (code == '\r') {
        out_ += "\\r";
      } else if (code == '\t') {
        out_ += "\\t";
      } else if (code == '\f') {
        out_ += "\\f";
      } else if (code == '\b') {
        out_ += "\\b";
      } else if (code < 0x20 || (style_.ascii && code > 0x7e && code < 0x10000)) {
        // With ensure_ascii, DEL stays as it is.
        out_ += code == 0x7f ? std::string(1, '\x7f') : fmt::format("\\u{:04x}", code);
      } else if (style_.ascii && code >= 0x10000) {
        out_ +=
            fmt::format("\\u{:04x}\\u{:04x}", 0xD800 + ((code - 0x10000) >> 10), 0xDC00 + ((code - 0x10000) & 0x3FF));
      } else {
        out_ += text.substr(0, step.bytes);
      }
      text.remove_prefix(step.bytes);
    }
    out_ += '"';
  }

  const JsonStyle& style_;
  Meter& meter_;
  std::string out_;
};

}  // namespace

std::string to_json(const Value& value, const JsonStyle& style, Meter& meter) {
  Writer writer(style, meter);
  writer.write(value, 0);
  return writer.take();
}

}  // namespace duan::text::jinja
