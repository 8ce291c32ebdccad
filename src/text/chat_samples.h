// Files of conversations, a line of JSON each.
#pragma once

#include <filesystem>
#include <functional>
#include <string>

#include "base/error.h"
#include "base/json.h"
#include "text/chat_template.h"

namespace duan::text {

inline constexpr size_t kMaxSampleFileBytes = size_t{1} << 30;

// Calls use(line, "file:number") for each line that is not blank. Throws Error naming the file, or the line that is not
// JSON.
void for_each_sample_line(const std::filesystem::path& file,
                          const std::function<void(const Json& sample, const std::string& where)>& use);

// {"messages": [{"role", ...}, ...], "tools": [...]}, without a generation prompt. Throws Error at `where`: no list of
// messages, a message that is no object or has no role. What else a message must have, the template says.
TemplateInput conversation_of(const Json& sample, const std::string& where);

// What a chat template threw, as an error of the sample at `where`.
Error refused_by_template(const Error& error, const std::string& where);

}  // namespace duan::text
