// The filters of `value | filter(arguments)`, as in jinja2.filters; tojson as in transformers.
#include <algorithm>
#include <cmath>
#include <iterator>
#include <optional>

#include "base/error.h"
#include "text/jinja_builtins.h"
#include "text/jinja_operators.h"
#include "text/jinja_text.h"

namespace duan::text::jinja {
namespace {

using Filter = Value (*)(const Value& input, Arguments& arguments, Meter& meter);

// The input as text. A text marked safe would have to escape what is joined to it, so it may only be printed.
std::string plain(const Value& value, Meter& meter) {
  if (value.is(Kind::Text) && value.text().markup) throw Error("filters on a text marked safe are not supported");
  return to_str(value, meter);
}

template <std::string (*change)(std::string_view)>
Value change_case(const Value& input, Arguments& arguments, Meter& meter) {
  arguments.finish(0);
  const std::string text = plain(input, meter);
  meter.charge(4 * text.size());  // for the decoded copy, while it lives
  std::string result = change(text);
  meter.release(4 * text.size());
  return make_text(&meter, std::move(result));
}

// `attribute` of an item: names and indices joined by dots.
Value attribute_of(Value item, const Value& attribute, const Value& fallback, Meter& meter) {
  const auto take = [&](const Value& key) {
    item = get_item(item, key, meter);
    if (item.undefined() && !fallback.undefined()) item = fallback;
  };
  if (!attribute.is(Kind::Text)) {
    take(attribute);
    return item;
  }
  for (const std::string_view part : split(attribute.str(), ".", -1)) {
    const bool index = !part.empty() && part.find_first_not_of("0123456789") == part.npos;
    take(index ? Value::integer(*to_integer(part, 10)) : make_text(&meter, std::string(part)));
  }
  return item;
}

// What an item is sorted by, made comparable without regard to case if it is a str.
Value sort_key(const Value& item, const Value* attribute, bool case_sensitive, Meter& meter) {
  Value key =
      attribute != nullptr && !attribute->is(Kind::None) ? attribute_of(item, *attribute, Value(), meter) : item;
  if (key.is(Kind::Text) && !case_sensitive) key = make_text(&meter, lower(key.str()));
  return key;
}

std::vector<Value> sorted_by(const std::vector<Value>& items, const std::vector<Value>& keys, bool reverse,
                             Meter& meter) {
  std::vector<size_t> positions(items.size());
  for (size_t i = 0; i < positions.size(); ++i) positions[i] = i;
  // Equal items keep their order, in reverse too. NaN breaks the order std::stable_sort relies on; a merge that only
  // asks "less" stays in bounds with any answers.
  std::stable_sort(positions.begin(), positions.end(), [&](size_t a, size_t b) {
    return reverse ? order(keys[b], keys[a], "<", meter) < 0 : order(keys[a], keys[b], "<", meter) < 0;
  });
  std::vector<Value> out;
  out.reserve(items.size());
  for (const size_t position : positions) out.push_back(items[position]);
  return out;
}

Value sort_filter(const Value& input, Arguments& arguments, Meter& meter) {
  const bool reverse = arguments.flag(0, "reverse", false), case_sensitive = arguments.flag(1, "case_sensitive", false);
  const Value* attribute = arguments.get(2, "attribute");
  arguments.finish(3);
  if (attribute != nullptr && attribute->is(Kind::Text) && attribute->str().find(',') != std::string::npos) {
    throw Error("sort by several attributes is not supported");
  }
  const std::shared_ptr<const Items> items = iterate(input, meter);
  std::vector<Value> keys;
  keys.reserve(items->values.size());
  for (const Value& item : items->values) keys.push_back(sort_key(item, attribute, case_sensitive, meter));
  return make_list(&meter, sorted_by(items->values, keys, reverse, meter));
}

Value dictsort_filter(const Value& input, Arguments& arguments, Meter& meter) {
  const bool case_sensitive = arguments.flag(0, "case_sensitive", false);
  const Value* by = arguments.get(1, "by");
  const bool reverse = arguments.flag(2, "reverse", false);
  arguments.finish(3);
  const std::string which = by == nullptr ? std::string("key") : to_str(*by, meter);
  if (which != "key" && which != "value") throw Error("dictsort: 'by' must be 'key' or 'value'");
  if (!input.is(Kind::Dict)) throw Error(fmt::format("dictsort needs a dict, not {}", type_name(input)));
  std::vector<Value> keys, pairs;
  for (const auto& [key, value] : input.dict().entries) {
    keys.push_back(sort_key(which == "key" ? key : value, nullptr, case_sensitive, meter));
    pairs.push_back(make_list(&meter, {key, value}, Kind::Tuple));
  }
  return make_list(&meter, sorted_by(pairs, keys, reverse, meter));
}

Value unique_filter(const Value& input, Arguments& arguments, Meter& meter) {
  const bool case_sensitive = arguments.flag(0, "case_sensitive", false);
  const Value* attribute = arguments.get(1, "attribute");
  arguments.finish(2);
  std::vector<Value> out, seen;
  const std::shared_ptr<const Items> items = iterate(input, meter);
  for (const Value& item : items->values) {
    Value key = sort_key(item, attribute, case_sensitive, meter);
    if (!hashable(key)) throw Error(fmt::format("unique: a {} cannot be compared by hash", type_name(key)));
    if (std::any_of(seen.begin(), seen.end(), [&](const Value& known) { return equal(known, key, meter); })) continue;
    seen.push_back(std::move(key));
    out.push_back(item);
  }
  return make_list(&meter, std::move(out), Kind::Iterator);
}

template <bool want_least>
Value extreme_filter(const Value& input, Arguments& arguments, Meter& meter) {
  const bool case_sensitive = arguments.flag(0, "case_sensitive", false);
  const Value* attribute = arguments.get(1, "attribute");
  arguments.finish(2);
  Value best, best_key;
  bool first = true;
  const std::shared_ptr<const Items> items = iterate(input, meter);
  for (const Value& item : items->values) {
    Value key = sort_key(item, attribute, case_sensitive, meter);
    if (first || (want_least ? order(key, best_key, "<", meter) < 0 : order(key, best_key, ">", meter) > 0)) {
      best = item;
      best_key = std::move(key);
    }
    first = false;
  }
  return best;
}

Value sum_filter(const Value& input, Arguments& arguments, Meter& meter) {
  const Value* attribute = arguments.get(0, "attribute");
  const Value* start = arguments.get(1, "start");
  arguments.finish(2);
  Value total = start != nullptr ? *start : Value::integer(0);
  if (total.is(Kind::Text)) throw Error("sum cannot add str; use join");
  const std::shared_ptr<const Items> items = iterate(input, meter);
  for (const Value& item : items->values) {
    const bool by = attribute != nullptr && !attribute->is(Kind::None);
    total = binary(Operator::Add, total, by ? attribute_of(item, *attribute, Value(), meter) : item, meter);
  }
  return total;
}

Value map_filter(const Value& input, Arguments& arguments, Meter& meter) {
  std::vector<Value> out;
  if (!truth(input)) return make_list(&meter, {}, Kind::Iterator);
  if (arguments.positional.empty()) {
    const Value attribute = arguments.need(SIZE_MAX, "attribute");
    const Value* fallback = arguments.get(SIZE_MAX, "default");
    arguments.finish(0);
    const Value otherwise = fallback != nullptr && !fallback->is(Kind::None) ? *fallback : Value();
    const std::shared_ptr<const Items> items = iterate(input, meter);
    for (const Value& item : items->values) {
      meter.step();
      out.push_back(attribute_of(item, attribute, otherwise, meter));
    }
  } else {
    const std::string name(arguments.text(0, ""));
    const int filter = find_filter(name);
    if (filter < 0) throw Error(fmt::format("filter '{}' is not supported", printable(name, 40)));
    Arguments rest;
    rest.positional.assign(arguments.positional.begin() + 1, arguments.positional.end());
    rest.named = arguments.named;
    const std::shared_ptr<const Items> items = iterate(input, meter);
    for (const Value& item : items->values) out.push_back(call_filter(filter, item, rest, meter));
  }
  return make_list(&meter, std::move(out), Kind::Iterator);
}

template <bool keep, bool by_attribute>
Value select_filter(const Value& input, Arguments& arguments, Meter& meter) {
  if (!truth(input)) return make_list(&meter, {}, Kind::Iterator);
  constexpr size_t name_at = by_attribute ? 1 : 0;
  const Value attribute = by_attribute ? arguments.need(0, "") : Value();
  int test = -1;
  Arguments rest;
  if (arguments.positional.size() > name_at) {
    const std::string name(arguments.text(name_at, ""));
    test = find_test(name);
    if (test < 0) throw Error(fmt::format("test '{}' is not supported", printable(name, 40)));
    rest.positional.assign(arguments.positional.begin() + name_at + 1, arguments.positional.end());
    rest.named = arguments.named;
  } else {
    arguments.finish(name_at);
  }
  std::vector<Value> out;
  const std::shared_ptr<const Items> items = iterate(input, meter);
  for (const Value& item : items->values) {
    meter.step();
    const Value value = by_attribute ? attribute_of(item, attribute, Value(), meter) : item;
    if ((test < 0 ? truth(value) : call_test(test, value, rest, meter)) == keep) out.push_back(item);
  }
  return make_list(&meter, std::move(out), Kind::Iterator);
}

Value join_filter(const Value& input, Arguments& arguments, Meter& meter) {
  const Value* separator = arguments.get(0, "d");
  const Value* attribute = arguments.get(1, "attribute");
  arguments.finish(2);
  std::string between;
  if (separator != nullptr) between = plain(*separator, meter);
  std::string out;
  bool first = true;
  const std::shared_ptr<const Items> items = iterate(input, meter);
  for (const Value& item : items->values) {
    meter.step();
    if (!first) out += between;
    first = false;
    const bool by = attribute != nullptr && !attribute->is(Kind::None);
    out += plain(by ? attribute_of(item, *attribute, Value(), meter) : item, meter);
    meter.copying(between.size());
    if (out.size() > meter.limits.output_bytes) meter.check_text(out.size());
  }
  return make_text(&meter, std::move(out));
}

Value first_filter(const Value& input, Arguments& arguments, Meter& meter) {
  arguments.finish(0);
  if (input.is(Kind::Iterator)) {  // takes one item from it
    const Items& items = input.items();
    if (items.used || items.next == items.values.size()) return Value();
    return items.values[items.next++];
  }
  if (input.is(Kind::Text)) return get_item(input, Value::integer(0), meter);
  const std::shared_ptr<const Items> items = iterate(input, meter);
  return items->values.empty() ? Value() : items->values.front();
}

Value last_filter(const Value& input, Arguments& arguments, Meter& meter) {
  arguments.finish(0);
  if (input.is(Kind::Iterator)) throw Error("last: an iterator cannot be walked backwards; use list first");
  if (input.is(Kind::Text)) return get_item(input, Value::integer(-1), meter);
  const std::shared_ptr<const Items> items = iterate(input, meter);
  return items->values.empty() ? Value() : items->values.back();
}

Value reverse_filter(const Value& input, Arguments& arguments, Meter& meter) {
  arguments.finish(0);
  if (input.is(Kind::Text)) return slice(input, Value::none(), Value::none(), Value::integer(-1), meter);
  std::vector<Value> values = iterate(input, meter)->values;
  meter.step(values.size());
  std::reverse(values.begin(), values.end());
  // Python reverses a list and a dict lazily, and what is lazy already (or undefined) through a list.
  const bool listed = input.is(Kind::Iterator) || input.undefined();
  return make_list(&meter, std::move(values), listed ? Kind::List : Kind::Iterator);
}

Value list_filter(const Value& input, Arguments& arguments, Meter& meter) {
  arguments.finish(0);
  if (input.is(Kind::List)) return input;
  return make_list(&meter, iterate(input, meter)->values);
}

Value items_filter(const Value& input, Arguments& arguments, Meter& meter) {
  arguments.finish(0);
  if (input.undefined()) return make_list(&meter, {}, Kind::Iterator);
  if (!input.is(Kind::Dict)) throw Error(fmt::format("items needs a dict, not {}", type_name(input)));
  return make_list(&meter, call_method(input, "items", {}, meter).items().values, Kind::Iterator);
}

Value default_filter(const Value& input, Arguments& arguments, Meter& meter) {
  const Value* fallback = arguments.get(0, "default_value");
  const bool falsy_too = arguments.flag(1, "boolean", false);
  arguments.finish(2);
  if (!input.undefined() && !(falsy_too && !truth(input))) return input;
  return fallback != nullptr ? *fallback : make_text(&meter, "");
}

Value trim_filter(const Value& input, Arguments& arguments, Meter& meter) {
  const Value* characters = arguments.get(0, "chars");
  arguments.finish(1);
  const std::string text = plain(input, meter);
  if (characters == nullptr || characters->is(Kind::None))
    return make_text(&meter, std::string(strip(text, std::nullopt, Side::Both)));
  if (!characters->is(Kind::Text)) throw Error(fmt::format("trim: expected a str, found {}", type_name(*characters)));
  meter.step(text.size() * characters->str().size() / 256);
  return make_text(&meter, std::string(strip(text, characters->str(), Side::Both)));
}

Value replace_filter(const Value& input, Arguments& arguments, Meter& meter) {
  Arguments method;
  method.positional = {make_text(&meter, plain(arguments.need(0, "old"), meter)),
                       make_text(&meter, plain(arguments.need(1, "new"), meter))};
  const Value* most = arguments.get(2, "count");
  if (most != nullptr && !most->is(Kind::None)) method.positional.push_back(*most);
  arguments.finish(3);
  return call_method(make_text(&meter, plain(input, meter)), "replace", std::move(method), meter);
}

Value indent_filter(const Value& input, Arguments& arguments, Meter& meter) {
  const Value* width = arguments.get(0, "width");
  const bool first = arguments.flag(1, "first", false), blank = arguments.flag(2, "blank", false);
  arguments.finish(3);
  if (!input.is(Kind::Text)) throw Error(fmt::format("indent needs a str, not {}", type_name(input)));
  std::string text = plain(input, meter);
  text.push_back('\n');  // makes an empty text one line
  std::string indention(4, ' ');
  if (width != nullptr) {
    const Value spaces =
        width->is(Kind::Text) ? *width : binary(Operator::Multiply, make_text(&meter, " "), *width, meter);
    indention = spaces.str();
  }
  const std::vector<std::string_view> lines = split_lines(text, false);
  if (!indention.empty() && lines.size() + 1 > meter.limits.output_bytes / indention.size()) meter.check_text(SIZE_MAX);
  meter.check_text(text.size() + (lines.size() + 1) * indention.size());
  std::string out;
  if (first) out.append(indention);
  for (size_t i = 0; i < lines.size(); ++i) {
    if (i > 0) out += '\n';
    if (i > 0 && (blank || !lines[i].empty())) out += indention;
    out += lines[i];
  }
  return make_text(&meter, std::move(out));
}

Value int_filter(const Value& input, Arguments& arguments, Meter& meter) {
  const Value* fallback = arguments.get(0, "default");
  const int64_t base = arguments.integer(1, "base", 10);
  arguments.finish(2);
  const Value otherwise = fallback != nullptr ? *fallback : Value::integer(0);
  if (input.undefined()) throw Error("an undefined value cannot become an int");
  if (input.whole()) return Value::integer(input.integer());
  double real = 0;
  if (input.is(Kind::Float)) {
    real = input.real();
    if (std::isinf(real)) throw Error("infinity cannot become an int");
  } else if (input.is(Kind::Text)) {
    if (base == 0 || (base >= 2 && base <= 36)) {
      if (const auto whole = to_integer(input.str(), static_cast<int>(base))) return Value::integer(*whole);
    }
    const std::optional<double> number = to_real(input.str());
    if (!number || std::isinf(*number)) return otherwise;
    real = *number;
  } else {
    return otherwise;
  }
  (void)meter;
  if (std::isnan(real)) return otherwise;
  if (!(real >= -9223372036854775808.0 && real < 9223372036854775808.0)) throw Error("an integer does not fit 64 bits");
  return Value::integer(static_cast<int64_t>(real));
}

Value float_filter(const Value& input, Arguments& arguments, Meter&) {
  const Value* fallback = arguments.get(0, "default");
  arguments.finish(1);
  if (input.undefined()) throw Error("an undefined value cannot become a float");
  if (input.number()) return Value::real(input.real());
  if (input.is(Kind::Text)) {
    if (const auto number = to_real(input.str())) return Value::real(*number);
  }
  return fallback != nullptr ? *fallback : Value::real(0);
}

Value abs_filter(const Value& input, Arguments& arguments, Meter&) {
  arguments.finish(0);
  if (!input.number()) throw Error(fmt::format("abs needs a number, not {}", type_name(input)));
  if (input.is(Kind::Float)) return Value::real(std::fabs(input.real()));
  return input.integer() < 0 ? negative(input) : positive(input);
}

// round(value, digits) of Python: half to even on the exact binary value.
Value round_common(const Value& input, int64_t digits) {
  if (input.whole()) {
    if (digits >= 0) return positive(input);
    if (digits < -18) return Value::integer(0);
    int64_t unit = 1;
    for (int64_t i = digits; i < 0; ++i) unit *= 10;
    const int64_t value = input.integer(), rest = ((value % unit) + unit) % unit;
    const int64_t below = value - rest;
    const bool up = rest > unit - rest || (rest == unit - rest && (below / unit) % 2 != 0);
    int64_t result = below;
    if (up && __builtin_add_overflow(below, unit, &result)) throw Error("an integer does not fit 64 bits");
    return Value::integer(result);
  }
  const double value = input.real();
  if (!std::isfinite(value) || digits > 323) return input;
  if (digits < -308) return Value::real(std::copysign(0.0, value));
  if (digits >= 0) return Value::real(*to_real(fmt::format("{:.{}f}", value, static_cast<int>(digits))));
  const double unit = std::pow(10.0, static_cast<double>(-digits));
  return Value::real(std::nearbyint(value / unit) * unit);
}

Value round_filter(const Value& input, Arguments& arguments, Meter& meter) {
  const int64_t digits = arguments.integer(0, "precision", 0);
  const Value* how = arguments.get(1, "method");
  arguments.finish(2);
  const std::string method = how != nullptr ? to_str(*how, meter) : std::string("common");
  if (method != "common" && method != "ceil" && method != "floor")
    throw Error("round: the method must be common, ceil or floor");
  if (!input.number()) throw Error(fmt::format("round needs a number, not {}", type_name(input)));
  if (method == "common") return round_common(input, digits);
  if (digits < -300 || digits > 300) throw Error("round: the precision is out of range");
  const double unit = std::pow(10.0, static_cast<double>(digits));
  const double scaled = input.real() * unit;
  if (!std::isfinite(scaled)) throw Error("round: the number is too large");
  return Value::real((method == "ceil" ? std::ceil(scaled) : std::floor(scaled)) / unit);
}

Value batch_filter(const Value& input, Arguments& arguments, Meter& meter) {
  const Value count = arguments.need(0, "linecount");
  const Value* fill = arguments.get(1, "fill_with");
  arguments.finish(2);
  if (!count.whole() || count.integer() < 1) throw Error("batch: the size must be an integer of at least 1");
  const int64_t size = count.integer();
  std::vector<Value> out, row;
  const std::shared_ptr<const Items> items = iterate(input, meter);
  for (const Value& item : items->values) {
    if (static_cast<int64_t>(row.size()) == size) out.push_back(make_list(&meter, std::exchange(row, {})));
    row.push_back(item);
  }
  if (!row.empty()) {
    if (fill != nullptr && !fill->is(Kind::None)) {
      meter.step(static_cast<uint64_t>(size));
      while (static_cast<int64_t>(row.size()) < size) row.push_back(*fill);
    }
    out.push_back(make_list(&meter, std::move(row)));
  }
  return make_list(&meter, std::move(out), Kind::Iterator);
}

Value tojson_filter(const Value& input, Arguments& arguments, Meter& meter) {
  JsonStyle style;
  style.ascii = arguments.flag(0, "ensure_ascii", false);
  const Value* indent = arguments.get(1, "indent");
  const Value* separators = arguments.get(2, "separators");
  style.sort_keys = arguments.flag(3, "sort_keys", false);
  arguments.finish(4);
  if (indent != nullptr && !indent->is(Kind::None)) {
    style.pretty = true;
    style.item_separator = ",";
    if (indent->whole()) {
      if (indent->integer() > 1000) throw Error("tojson: the indent is larger than 1000");
      style.indent.assign(static_cast<size_t>(std::max<int64_t>(indent->integer(), 0)), ' ');
    } else if (indent->is(Kind::Text) && indent->str().size() <= 1000) {
      style.indent = indent->str();
    } else {
      throw Error(fmt::format("tojson: the indent cannot be a {}", type_name(*indent)));
    }
  }
  if (separators != nullptr && !separators->is(Kind::None)) {
    const std::shared_ptr<const Items> pair = iterate(*separators, meter);
    if (pair->values.size() != 2 || !pair->values[0].is(Kind::Text) || !pair->values[1].is(Kind::Text)) {
      throw Error("tojson: separators must be two str");
    }
    style.item_separator = pair->values[0].str();
    style.key_separator = pair->values[1].str();
    if (style.item_separator.size() + style.key_separator.size() > 1000)
      throw Error("tojson: the separators are too long");
  }
  return make_text(&meter, to_json(input, style, meter));
}

Value length_filter(const Value& input, Arguments& arguments, Meter&) {
  arguments.finish(0);
  return Value::integer(length_of(input));
}

Value string_filter(const Value& input, Arguments& arguments, Meter& meter) {
  arguments.finish(0);
  return input.is(Kind::Text) ? input : make_text(&meter, to_str(input, meter));
}

Value safe_filter(const Value& input, Arguments& arguments, Meter& meter) {
  arguments.finish(0);
  return make_text(&meter, to_str(input, meter), true);
}

struct Entry {
  std::string_view name;
  Filter filter;
};

constexpr Entry kFilters[] = {
    {"abs", abs_filter},
    {"batch", batch_filter},
    {"capitalize", change_case<capitalize>},
    {"count", length_filter},
    {"d", default_filter},
    {"default", default_filter},
    {"dictsort", dictsort_filter},
    {"first", first_filter},
    {"float", float_filter},
    {"indent", indent_filter},
    {"int", int_filter},
    {"items", items_filter},
    {"join", join_filter},
    {"last", last_filter},
    {"length", length_filter},
    {"list", list_filter},
    {"lower", change_case<lower>},
    {"map", map_filter},
    {"max", extreme_filter<false>},
    {"min", extreme_filter<true>},
    {"reject", select_filter<false, false>},
    {"rejectattr", select_filter<false, true>},
    {"replace", replace_filter},
    {"reverse", reverse_filter},
    {"round", round_filter},
    {"safe", safe_filter},
    {"select", select_filter<true, false>},
    {"selectattr", select_filter<true, true>},
    {"sort", sort_filter},
    {"string", string_filter},
    {"sum", sum_filter},
    {"title", change_case<title_filter>},
    {"tojson", tojson_filter},
    {"trim", trim_filter},
    {"unique", unique_filter},
    {"upper", change_case<upper>},
};

}  // namespace

int find_filter(std::string_view name) {
  const auto found =
      std::find_if(std::begin(kFilters), std::end(kFilters), [&](const Entry& entry) { return entry.name == name; });
  return found == std::end(kFilters) ? -1 : static_cast<int>(found - std::begin(kFilters));
}

// map('map', 'map', ...) calls itself once for each argument.
Value call_filter(int filter, const Value& input, Arguments arguments, Meter& meter) {
  meter.step();
  const Meter::Nesting nesting(meter);
  return kFilters[filter].filter(input, arguments, meter);
}

}  // namespace duan::text::jinja
