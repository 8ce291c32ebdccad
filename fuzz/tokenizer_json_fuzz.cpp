// tokenizer.json from anybody: it loads or throws Error, and what loads encodes and decodes.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "base/error.h"
#include "text/tokenizer.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  constexpr std::string_view kText =
      "The 12 kettles' <|end|> e\u0301 \u6C34\u58F6\r\n\n  "
      "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
      "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa \xFF";
  try {
    const auto tokenizer =
        duan::text::Tokenizer::from_json({reinterpret_cast<const char*>(data), size}, "tokenizer.json");
    const auto ids = tokenizer.encode(kText);
    const std::string text = tokenizer.decode(ids);
    if (!duan::utf8::is_valid(text)) std::abort();
    duan::text::StreamingDecoder decoder(tokenizer, false);
    std::string streamed;
    for (const int64_t id : ids) streamed += decoder.push(id);
    if (streamed + decoder.finish() != text) std::abort();
  } catch (const duan::Error&) {
  }
  return 0;
}
