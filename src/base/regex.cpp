#include "base/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <new>

#include "base/error.h"

namespace duan {
namespace {
constexpr size_t kMaxPatternBytes = 4096;
constexpr uint32_t kMatchLimit = 100'000;
}  // namespace

Regex::Regex(std::string pattern, const std::string& where) : pattern_(std::move(pattern)), where_(where) {
  if (pattern_.size() > kMaxPatternBytes) {
    throw Error(fmt::format("a pattern of {} bytes, at most {} are supported", pattern_.size(), kMaxPatternBytes),
                where_);
  }
  int code = 0;
  PCRE2_SIZE offset = 0;
  pcre2_code* compiled = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern_.data()), pattern_.size(),
                                       PCRE2_UTF | PCRE2_ANCHORED | PCRE2_NEVER_BACKSLASH_C, &code, &offset, nullptr);
  if (compiled == nullptr) {
    PCRE2_UCHAR text[256] = "";
    pcre2_get_error_message(code, text, sizeof text);
    throw Error(fmt::format("\"{}\" is not a regular expression: {} at position {}", printable(pattern_),
                            reinterpret_cast<const char*>(text), offset),
                where_);
  }
  code_ = std::shared_ptr<void>(compiled, [](void* p) { pcre2_code_free(static_cast<pcre2_code*>(p)); });
}

bool Regex::matches_start(std::string_view text) const {
  auto* code = static_cast<pcre2_code*>(code_.get());
  const std::shared_ptr<pcre2_match_data> data(pcre2_match_data_create_from_pattern(code, nullptr),
                                               pcre2_match_data_free);
  const std::shared_ptr<pcre2_match_context> context(pcre2_match_context_create(nullptr), pcre2_match_context_free);
  if (!data || !context) throw std::bad_alloc();
  pcre2_set_match_limit(context.get(), kMatchLimit);
  const int found =
      pcre2_match(code, reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), 0, 0, data.get(), context.get());
  if (found >= 0) return true;
  if (found == PCRE2_ERROR_NOMATCH) return false;
  throw Error(fmt::format("the pattern \"{}\" cannot be matched against \"{}\" (PCRE2 error {})", printable(pattern_),
                          printable(text), found),
              where_, "use a simpler pattern");
}

}  // namespace duan
