// Python's operators on values.
#pragma once

#include "text/jinja_ast.h"
#include "text/jinja_value.h"

namespace duan::text::jinja {

// a op b for all operators; Error where Python raises, and where an integer leaves 64 bits.
Value binary(Operator op, const Value& a, const Value& b, Meter& meter);
bool compare(Operator op, const Value& a, const Value& b, Meter& meter);  // the comparisons, in and not in
Value negative(const Value& value);
Value positive(const Value& value);

// a[key] and a.name as Jinja resolves them: undefined if there is no such item; Error if `a` is undefined.
Value get_item(const Value& object, const Value& key, Meter& meter);
Value get_attribute(const Value& object, const std::string& name, Meter& meter);
// a[start:stop:step]; each bound an integer or None.
Value slice(const Value& object, const Value& start, const Value& stop, const Value& step, Meter& meter);

}  // namespace duan::text::jinja
