// Splitting by PCRE2: any pattern the scanner does not know.
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <algorithm>
#include <new>

#include "base/error.h"
#include "text/pretokenize.h"
#include "text/unicode.h"

namespace duan::text {
namespace {

constexpr size_t kMaxPatternBytes = 16384;
// Published patterns stay below 100 steps a piece. One call of the matcher may cost what its limits allow, so that a
// pattern with exponential backtracking fails in a fraction of a second.
constexpr uint32_t kMatchLimit = 2'000'000;
constexpr uint32_t kHeapLimitKib = 64 << 10;
constexpr size_t kJitStackBytes = 1 << 20;

struct Free {
  void operator()(pcre2_code* p) const { pcre2_code_free(p); }
  void operator()(pcre2_match_data* p) const { pcre2_match_data_free(p); }
  void operator()(pcre2_match_context* p) const { pcre2_match_context_free(p); }
  void operator()(pcre2_jit_stack* p) const { pcre2_jit_stack_free(p); }
};
template <typename T>
using Owned = std::unique_ptr<T, Free>;

template <typename T>
Owned<T> owned(T* p) {
  if (p == nullptr) throw std::bad_alloc();
  return Owned<T>(p);
}

std::string error_text(int code) {
  PCRE2_UCHAR text[256] = "";
  pcre2_get_error_message(code, text, sizeof text);
  return reinterpret_cast<const char*>(text);
}

// Syntax that Oniguruma, for which tokenizer files are written, reads differently.
void refuse_dialect(const std::string& pattern, const std::string& where) {
  const auto refuse = [&](std::string_view what) {
    throw Error(fmt::format("pattern \"{}\" uses {}, which is not supported", printable(pattern), what), where);
  };
  bool in_class = false;
  for (size_t i = 0; i < pattern.size(); ++i) {
    const std::string_view rest = std::string_view(pattern).substr(i);
    if (rest[0] == '\\') {
      if (rest.size() > 1 && std::string_view("hHKGyYMC").find(rest[1]) != std::string_view::npos) {
        refuse(rest.substr(0, 2));
      }
      ++i;
    } else if (in_class) {
      if (rest[0] == ']') in_class = false;
      if (rest[0] == '[' && !rest.starts_with("[:")) refuse("a class inside a class");
      if (rest.starts_with("[:")) i += std::min(rest.find(":]"), rest.size() - 2) + 1;
      if (rest.starts_with("&&")) refuse("&& in a class");
    } else if (rest[0] == '[') {
      in_class = true;
    } else if (rest.starts_with("(*")) {
      refuse("a verb (*...)");
    } else if (rest.starts_with("(?")) {
      const std::string_view flags = rest.substr(2, rest.find_first_not_of("abcdefghijklmnopqrstuvwxyz-", 2) - 2);
      if (flags.find_first_not_of("i-") != std::string_view::npos) refuse("flags other than (?i)");
    }
  }
}

class Pcre2Splitter final : public Splitter {
 public:
  Pcre2Splitter(const std::string& pattern, uint32_t options, const std::string& where)
      : pattern_(printable(pattern, 60)), where_(where) {
    if (pattern.empty()) throw Error("pattern is empty", where);
    if (pattern.size() > kMaxPatternBytes) {
      throw Error(fmt::format("pattern of {} bytes, at most {} are supported", pattern.size(), kMaxPatternBytes),
                  where);
    }
    int code = 0;
    PCRE2_SIZE offset = 0;
    code_.reset(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(), options | PCRE2_UTF, &code,
                              &offset, nullptr));
    if (!code_) {
      throw Error(fmt::format("pattern \"{}\" is not valid at byte {}: {}", pattern_, offset, error_text(code)), where);
    }
    pcre2_jit_compile(code_.get(), PCRE2_JIT_COMPLETE);  // where there is no JIT the interpreter does the same, slower
  }

  void split(std::string_view text, const PieceSink& sink) const override {
    const auto context = owned(pcre2_match_context_create(nullptr));
    const auto match = owned(pcre2_match_data_create_from_pattern(code_.get(), nullptr));
    const auto stack = owned(pcre2_jit_stack_create(32 << 10, kJitStackBytes, nullptr));
    pcre2_jit_stack_assign(context.get(), nullptr, stack.get());
    pcre2_set_match_limit(context.get(), kMatchLimit);
    pcre2_set_depth_limit(context.get(), kMatchLimit);
    pcre2_set_heap_limit(context.get(), kHeapLimitKib);

    size_t done = 0, at = 0;
    const auto emit = [&](size_t end) {
      if (end > done) sink(text.substr(done, end - done));
      done = end;
    };
    while (at < text.size()) {
      const int rc = pcre2_match(code_.get(), reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), at,
                                 PCRE2_NO_UTF_CHECK, match.get(), context.get());
      if (rc == PCRE2_ERROR_NOMATCH) break;
      if (rc < 0) {
        throw Error(fmt::format("pattern \"{}\" cannot be matched: {}", pattern_, error_text(rc)), where_,
                    "a pattern that backtracks this much does not belong into a tokenizer");
      }
      const PCRE2_SIZE* range = pcre2_get_ovector_pointer(match.get());
      if (range[0] < at || range[1] < range[0] || range[1] > text.size()) {
        throw Error(fmt::format("pattern \"{}\" matches backwards", pattern_), where_);
      }
      emit(range[0]);
      emit(range[1]);
      at = range[1];
      if (range[1] == range[0] && at < text.size()) at += code_at(text, at).bytes;
    }
    emit(text.size());
  }

 private:
  std::string pattern_, where_;
  Owned<pcre2_code> code_;
};

}  // namespace

std::shared_ptr<const Splitter> pcre2_splitter(const std::string& pattern, const std::string& where) {
  refuse_dialect(pattern, where);
  // Oniguruma's ^ and $ always mean lines.
  return std::make_shared<Pcre2Splitter>(pattern, PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C, where);
}

std::shared_ptr<const Splitter> literal_splitter(const std::string& literal, const std::string& where) {
  return std::make_shared<Pcre2Splitter>(literal, PCRE2_LITERAL, where);
}

}  // namespace duan::text
