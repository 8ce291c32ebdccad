#pragma once

#include <string>
#include <string_view>

#include "text/jinja_ast.h"

namespace duan::text::jinja {

// Throws Error with "where:line" for what Jinja refuses and for every construct that is not supported.
Template parse_template(std::string_view source, const std::string& where, const TemplateLimits& limits);

}  // namespace duan::text::jinja
