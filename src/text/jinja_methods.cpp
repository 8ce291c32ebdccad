// Methods of values, global functions, and the arguments of all calls.
#include <algorithm>
#include <array>
#include <ctime>
#include <iterator>
#include <optional>

#include "base/error.h"
#include "base/utf8.h"
#include "text/jinja_builtins.h"
#include "text/jinja_loop.h"
#include "text/jinja_text.h"

namespace duan::text::jinja {
namespace {

constexpr std::string_view kTextMethods[] = {"split",      "rsplit",     "strip",        "lstrip",      "rstrip",
                                             "startswith", "endswith",   "upper",        "lower",       "title",
                                             "capitalize", "replace",    "join",         "find",        "rfind",
                                             "count",      "splitlines", "removeprefix", "removesuffix"};
constexpr std::string_view kDictMethods[] = {"items", "keys", "values", "get", "copy"};
constexpr std::string_view kListMethods[] = {"index", "count"};

// Methods Python has and templates here may not call: using one is an error, not an undefined value.
constexpr std::string_view kRefusedText[] = {
    "casefold",  "center",      "encode",  "expandtabs", "format",   "format_map",   "index",
    "isalnum",   "isalpha",     "isascii", "isdecimal",  "isdigit",  "isidentifier", "islower",
    "isnumeric", "isprintable", "isspace", "istitle",    "isupper",  "ljust",        "maketrans",
    "partition", "rindex",      "rjust",   "rpartition", "swapcase", "translate",    "zfill"};
constexpr std::string_view kRefusedDict[] = {"clear", "fromkeys", "pop", "popitem", "setdefault", "update"};
constexpr std::string_view kRefusedList[] = {"append", "clear",  "copy",    "extend", "insert",
                                             "pop",    "remove", "reverse", "sort"};
constexpr std::string_view kRefusedNumber[] = {
    "as_integer_ratio", "bit_count", "bit_length", "conjugate", "denominator", "from_bytes", "fromhex", "hex", "imag",
    "is_integer",       "numerator", "real",       "to_bytes"};

template <size_t n>
bool among(const std::string_view (&list)[n], std::string_view name) {
  return std::find(std::begin(list), std::end(list), name) != std::end(list);
}

std::vector<Value> texts(const std::vector<std::string_view>& parts, Meter& meter) {
  std::vector<Value> values;
  meter.step(parts.size());
  values.reserve(parts.size());
  for (const std::string_view part : parts) values.push_back(make_text(&meter, std::string(part)));
  return values;
}

// The separator or set of characters, which may be missing or None.
std::optional<std::string_view> optional_text(Arguments& arguments, size_t position, std::string_view name) {
  const Value* value = arguments.get(position, name);
  if (value == nullptr || value->is(Kind::None)) return std::nullopt;
  if (!value->is(Kind::Text)) throw Error(fmt::format("expected a str, found {}", type_name(*value)));
  return value->str();
}

Value strip_method(const std::string& text, Arguments& arguments, Side side, Meter& meter) {
  const auto characters = optional_text(arguments, 0, "");
  arguments.finish(1);
  meter.step(text.size() * (characters ? characters->size() : 1) / 256);
  return make_text(&meter, std::string(strip(text, characters, side)));
}

Value split_method(const std::string& text, Arguments& arguments, bool from_right, Meter& meter) {
  const auto separator = optional_text(arguments, 0, "sep");
  const int64_t most = arguments.integer(1, "maxsplit", -1);
  arguments.finish(2);
  if (separator && separator->empty()) throw Error("split: empty separator");
  // Each part costs an object; a quick bound before any is made.
  const size_t parts = separator ? count(text, *separator) + 1 : text.size() / 2 + 1;
  meter.step(separator ? parts : parts / 16);
  return make_list(&meter, texts(from_right ? rsplit(text, separator, most) : split(text, separator, most), meter));
}

size_t bounded_index(int64_t index, size_t length) {
  const auto size = static_cast<int64_t>(length);
  if (index < 0) index = index < -size ? 0 : index + size;
  return static_cast<size_t>(std::min(index, size));
}

struct Window {
  std::string_view text;
  size_t begin;  // in code points
};

// The part of the text the second and third argument select, in which methods such as find look; nothing if the
// window starts after the end or ends before its start.
std::optional<Window> window(const Text& text, const Arguments& arguments) {
  const auto bound = [&](size_t position) -> std::optional<int64_t> {
    if (arguments.positional.size() <= position || arguments.positional[position].is(Kind::None)) return std::nullopt;
    const Value& value = arguments.positional[position];
    if (!value.whole())
      throw Error(fmt::format("argument {} must be an integer or None, not {}", position + 1, type_name(value)));
    return value.integer();
  };
  const std::optional<int64_t> from = bound(1), to = bound(2);
  if (from && *from > static_cast<int64_t>(text.length)) return std::nullopt;
  const size_t begin = from ? bounded_index(*from, text.length) : 0;
  const size_t end = to ? bounded_index(*to, text.length) : text.length;
  if (begin > end) return std::nullopt;
  return Window{code_point_slice(text.value, begin, end), begin};
}

Value affix_method(const Text& text, Arguments& arguments, bool start, Meter& meter) {
  const Value affix = arguments.need(0, "");
  const std::optional<Window> within = window(text, arguments);
  arguments.finish(3);
  const auto fits = [&](const Value& value) {
    if (!value.is(Kind::Text))
      throw Error(fmt::format("startswith and endswith need a str or a tuple of str, not {}", type_name(value)));
    return within && (start ? within->text.starts_with(value.str()) : within->text.ends_with(value.str()));
  };
  if (!affix.is(Kind::Tuple)) return Value::boolean(fits(affix));
  meter.step(affix.items().values.size());
  return Value::boolean(std::any_of(affix.items().values.begin(), affix.items().values.end(), fits));
}

// find, rfind and count.
Value search_method(const Text& text, std::string_view name, Arguments& arguments, Meter& meter) {
  const std::string_view part = arguments.text(0, "");
  const std::optional<Window> within = window(text, arguments);
  arguments.finish(3);
  meter.copying(text.value.size());
  if (name == "count") return Value::integer(within ? static_cast<int64_t>(count(within->text, part)) : 0);
  const size_t at = !within          ? std::string_view::npos
                    : name == "find" ? within->text.find(part)
                                     : within->text.rfind(part);
  if (at == std::string_view::npos) return Value::integer(-1);
  return Value::integer(static_cast<int64_t>(within->begin + code_points(within->text.substr(0, at))));
}

Value replace_method(const std::string& text, Arguments& arguments, Meter& meter) {
  const std::string_view from = arguments.text(0, "old"), to = arguments.text(1, "new");
  const int64_t most = arguments.integer(2, "count", -1);
  arguments.finish(3);
  const size_t found = count(text, from);
  const size_t hits = most < 0 ? found : std::min(found, static_cast<size_t>(most));
  meter.check_text(text.size());
  if (!to.empty() && hits > meter.limits.output_bytes / to.size()) meter.check_text(SIZE_MAX);
  meter.check_text(text.size() + hits * to.size());
  return make_text(&meter, replace(text, from, to, most));
}

Value join_method(const std::string& separator, Arguments& arguments, Meter& meter) {
  const std::shared_ptr<const Items> items = iterate(arguments.need(0, ""), meter);
  arguments.finish(1);
  std::string out;
  for (size_t i = 0; i < items->values.size(); ++i) {
    const Value& item = items->values[i];
    if (!item.is(Kind::Text)) throw Error(fmt::format("join: item {} is a {}, not a str", i, type_name(item)));
    if (i > 0) out += separator;
    meter.step();
    out += item.str();
    meter.copying(item.str().size() + separator.size());
    if (out.size() > meter.limits.output_bytes) meter.check_text(out.size());
  }
  return make_text(&meter, std::move(out));
}

Value text_method(const Value& self, std::string_view name, Arguments& arguments, Meter& meter) {
  const std::string& text = self.str();
  meter.copying(text.size());
  if (self.text().markup) throw Error(fmt::format("method '{}' on a text marked safe is not supported", name));
  const auto mapped = [&](std::string (*change)(std::string_view)) {
    arguments.finish(0);
    meter.charge(4 * text.size());  // for the decoded copy, while it lives
    std::string result = change(text);
    meter.release(4 * text.size());
    return make_text(&meter, std::move(result));
  };
  if (name == "split") return split_method(text, arguments, false, meter);
  if (name == "rsplit") return split_method(text, arguments, true, meter);
  if (name == "strip") return strip_method(text, arguments, Side::Both, meter);
  if (name == "lstrip") return strip_method(text, arguments, Side::Left, meter);
  if (name == "rstrip") return strip_method(text, arguments, Side::Right, meter);
  if (name == "startswith") return affix_method(self.text(), arguments, true, meter);
  if (name == "endswith") return affix_method(self.text(), arguments, false, meter);
  if (name == "upper") return mapped(upper);
  if (name == "lower") return mapped(lower);
  if (name == "title") return mapped(title);
  if (name == "capitalize") return mapped(capitalize);
  if (name == "replace") return replace_method(text, arguments, meter);
  if (name == "join") return join_method(text, arguments, meter);
  if (name == "splitlines") {
    const bool keep = arguments.flag(0, "keepends", false);
    arguments.finish(1);
    return make_list(&meter, texts(split_lines(text, keep), meter));
  }
  if (name == "removeprefix" || name == "removesuffix") {
    const std::string_view affix = arguments.text(0, "");
    arguments.finish(1);
    const bool prefix = name == "removeprefix";
    if (affix.empty() || !(prefix ? text.starts_with(affix) : text.ends_with(affix))) return self;
    return make_text(&meter, prefix ? text.substr(affix.size()) : text.substr(0, text.size() - affix.size()));
  }
  return search_method(self.text(), name, arguments, meter);
}

Value dict_method(const Value& self, std::string_view name, Arguments& arguments, Meter& meter) {
  const Dict& dict = self.dict();
  if (name == "get") {
    const Value key = arguments.need(0, "");
    const Value* fallback = arguments.get(1, "");
    arguments.finish(2);
    if (!hashable(key)) throw Error(fmt::format("a {} cannot be a key", type_name(key)));
    const Value* found = dict.find(key, meter);
    return found != nullptr ? *found : fallback != nullptr ? *fallback : Value::none();
  }
  arguments.finish(0);
  if (name == "copy") return self;
  std::vector<Value> values;
  meter.step(dict.entries.size());
  values.reserve(dict.entries.size());
  for (const auto& [key, value] : dict.entries) {
    values.push_back(name == "items" ? make_list(&meter, {key, value}, Kind::Tuple) : name == "keys" ? key : value);
  }
  const char* label = name == "items" ? "dict_items" : name == "keys" ? "dict_keys" : "dict_values";
  return make_list(&meter, std::move(values), Kind::View, label);
}

Value list_method(const Value& self, std::string_view name, Arguments& arguments, Meter& meter) {
  const Value wanted = arguments.need(0, "");
  arguments.finish(1);
  int64_t found = 0;
  const std::shared_ptr<const Items> items = iterate(self, meter);
  for (size_t i = 0; i < items->values.size(); ++i) {
    if (!equal(items->values[i], wanted, meter)) continue;
    if (name == "index") return Value::integer(static_cast<int64_t>(i));
    ++found;
  }
  if (name == "index") throw Error("index: the value is not in the list");
  return Value::integer(found);
}

Value range_function(Arguments& arguments, Meter& meter) {
  const size_t given = arguments.positional.size();
  if (given == 0 || given > 3) throw Error("range needs 1 to 3 arguments");
  for (const Value& value : arguments.positional) {
    if (!value.whole()) throw Error(fmt::format("range needs integers, not {}", type_name(value)));
  }
  arguments.finish(3);
  const auto at = [&](size_t i) { return arguments.positional[i].integer(); };
  const int64_t step = given == 3 ? at(2) : 1;
  if (step == 0) throw Error("the step of range must not be zero");
  return Value::object(Kind::Range,
                       std::make_shared<Range>(&meter, given == 1 ? 0 : at(0), given == 1 ? at(0) : at(1), step));
}

Value dict_function(Arguments& arguments, Meter& meter) {
  Dict::Entries entries;
  if (!arguments.positional.empty()) {
    if (arguments.positional.size() > 1 || !arguments.positional[0].is(Kind::Dict)) {
      throw Error("dict(...) takes one dict and arguments with names");
    }
    entries = arguments.positional[0].dict().entries;
  }
  for (auto& [name, value] : arguments.named) {
    meter.step(1 + entries.size() / 16);
    const auto known = std::find_if(entries.begin(), entries.end(), [&, &key = name](const auto& entry) {
      return entry.first.is(Kind::Text) && entry.first.str() == key;
    });
    if (known != entries.end()) {
      known->second = value;
    } else {
      entries.emplace_back(make_text(&meter, name), value);
    }
  }
  return make_dict(&meter, std::move(entries));
}

Value time_function(Arguments& arguments, Meter& meter) {
  const std::string format(arguments.text(0, "format"));
  arguments.finish(1);
  if (format.empty()) return make_text(&meter, "");
  if (format.size() > 256 || format.find('\0') != format.npos)
    throw Error("strftime_now: the format is too long or has a NUL");
  const std::time_t now = std::time(nullptr);
  std::tm local{};
  localtime_r(&now, &local);
  std::array<char, 4096> buffer{};
  const size_t bytes = std::strftime(buffer.data(), buffer.size(), format.c_str(), &local);
  return make_text(&meter, utf8::replace_invalid(std::string_view(buffer.data(), bytes)));
}

}  // namespace

const Value* Arguments::get(size_t position, std::string_view name) {
  if (position < positional.size()) return &positional[position];
  if (name.empty()) return nullptr;
  for (const auto& [known, value] : named) {
    if (known != name) continue;
    ++used_names_;
    return &value;
  }
  return nullptr;
}

const Value& Arguments::need(size_t position, std::string_view name) {
  const Value* value = get(position, name);
  if (value == nullptr)
    throw Error(fmt::format("argument {}{}{} is missing", position + 1, name.empty() ? "" : ", ", name));
  return *value;
}

int64_t Arguments::integer(size_t position, std::string_view name, int64_t fallback) {
  const Value* value = get(position, name);
  if (value == nullptr) return fallback;
  if (!value->whole())
    throw Error(fmt::format("argument {} must be an integer, not {}", position + 1, type_name(*value)));
  return value->integer();
}

bool Arguments::flag(size_t position, std::string_view name, bool fallback) {
  const Value* value = get(position, name);
  return value == nullptr ? fallback : truth(*value);
}

std::string_view Arguments::text(size_t position, std::string_view name) {
  const Value& value = need(position, name);
  if (!value.is(Kind::Text))
    throw Error(fmt::format("argument {} must be a str, not {}", position + 1, type_name(value)));
  return value.str();
}

void Arguments::finish(size_t most) const {
  if (positional.size() > most)
    throw Error(fmt::format("{} arguments given, at most {} are taken", positional.size(), most));
  if (used_names_ < named.size())
    throw Error(fmt::format("argument '{}' is not known", printable(named.back().first, 40)));
}

bool known_method(std::string_view name) {
  return among(kTextMethods, name) || among(kDictMethods, name) || among(kListMethods, name) || name == "cycle";
}

MethodState method_state(const Value& value, std::string_view name) {
  const auto state = [&](bool supported, bool refused) {
    return supported ? MethodState::Supported : refused ? MethodState::Refused : MethodState::None;
  };
  switch (value.kind()) {
    case Kind::Text:
      return state(among(kTextMethods, name), among(kRefusedText, name));
    case Kind::Dict:
      return state(among(kDictMethods, name), among(kRefusedDict, name));
    case Kind::List:
      return state(among(kListMethods, name), among(kRefusedList, name));
    case Kind::Tuple:
    case Kind::Range:
      return state(among(kListMethods, name), false);
    case Kind::Bool:
    case Kind::Int:
    case Kind::Float:
      return state(false, among(kRefusedNumber, name));
    default:
      return MethodState::None;
  }
}

Value call_method(const Value& self, std::string_view name, Arguments arguments, Meter& meter) {
  meter.step();
  switch (self.kind()) {
    case Kind::Text:
      return text_method(self, name, arguments, meter);
    case Kind::Dict:
      return dict_method(self, name, arguments, meter);
    case Kind::List:
    case Kind::Tuple:
    case Kind::Range:
      return list_method(self, name, arguments, meter);
    case Kind::Loop: {
      if (arguments.positional.empty()) throw Error("loop.cycle needs at least one argument");
      arguments.finish(SIZE_MAX);
      return arguments.positional[self.as<LoopState>()->index % arguments.positional.size()];
    }
    default:
      throw Error(fmt::format("a {} has no method '{}'", type_name(self), name));
  }
}

const std::string_view kGlobalNames[kGlobalFunctions] = {"range", "dict", "namespace", "raise_exception",
                                                         "strftime_now"};

Value call_global(int function, Arguments arguments, Meter& meter) {
  meter.step();
  switch (function) {
    case kRange:
      return range_function(arguments, meter);
    case kDict:
      return dict_function(arguments, meter);
    case kStrftimeNow:
      return time_function(arguments, meter);
    case kRaiseException: {
      const Value message = arguments.need(0, "message");
      arguments.finish(1);
      throw Error(fmt::format("the template refuses the conversation: {}", printable(to_str(message, meter), 300)));
    }
    default:
      throw Error("this function cannot be called here");
  }
}

}  // namespace duan::text::jinja
