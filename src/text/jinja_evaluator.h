#pragma once

#include <string>
#include <utility>
#include <vector>

#include "text/jinja_ast.h"

namespace duan::text::jinja {

using Context = std::vector<std::pair<std::string, Value>>;  // the variables a template is given

// Throws Error with "where:line" where Jinja would raise, and where a limit is passed.
std::string evaluate(const Template& source, const Context& context, const TemplateLimits& limits);

}  // namespace duan::text::jinja
