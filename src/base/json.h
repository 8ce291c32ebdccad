// JSON from files nobody vouches for. nlohmann::ordered_json holds the document (key order matters to templates);
// the parser here adds what its DOM parser lacks: duplicate keys are errors, depth and size are limited.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace duan {

using Json = nlohmann::ordered_json;

struct JsonLimits {
  size_t max_bytes = 64u << 20;
  int max_depth = 64;
};

// `where` names the source in errors. Throws Error: not JSON (with line and column), duplicate key, too deep, too
// large.
Json parse_json(std::string_view text, const std::string& where, const JsonLimits& limits = {});
Json read_json(const std::filesystem::path& file, const JsonLimits& limits = {});

// The whole file as bytes. Throws Error if it cannot be read or is larger than `max_bytes`.
std::string read_file(const std::filesystem::path& file, size_t max_bytes = 64u << 20);

// Typed access that says which key is wrong: json_at<int64_t>(config, "hidden_size", where).
// Integers must be integers and in range; doubles accept integers and must be finite.
template <typename T>
T json_at(const Json& object, const std::string& key, const std::string& where);  // throws Error if absent
template <typename T>
T json_or(const Json& object, const std::string& key, T fallback, const std::string& where);  // null counts as absent

// Compact text, invalid UTF-8 replaced: never throws.
std::string to_text(const Json& json, int indent = -1);

}  // namespace duan
