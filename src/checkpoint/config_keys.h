// What each key of a config.json means to us: read, harmless, or a statement about mathematics.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "base/json.h"

namespace duan::checkpoint {

// Throws Error for a key whose value asks for mathematics that are not supported for this model_type; warns once per
// key that is neither known nor empty, and for keys that name code (which is never run).
void check_config_keys(const Json& json, const std::string& model_type, const std::string& where);

// Of an object whose keys are `read` or without influence: warns about each other one that is not empty.
void warn_of_unknown_keys(const Json& json, std::span<const std::string_view> read, const std::string& where);

}  // namespace duan::checkpoint
