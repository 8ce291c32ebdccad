// Any bytes as a chat template: parsing and rendering end with a text or an Error, within the limits.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/error.h"
#include "text/chat_template.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace duan;
  static const text::TemplateInput input = [] {
    text::TemplateInput conversation;
    conversation.messages = parse_json(
        R"([{"role": "system", "content": "S"}, {"role": "user", "content": [{"type": "text", "text": "a b"}]},
            {"role": "assistant", "content": "<think>\nx\n</think>\n\ny", "tool_calls": [{"function": {"name": "f",
             "arguments": {"k": [1, 2.5, null, true]}}}]}, {"role": "tool", "content": "t"}])",
        "messages");
    conversation.tools = parse_json(R"([{"type": "function", "function": {"name": "f"}}])", "tools");
    conversation.kwargs["enable_thinking"] = false;
    return conversation;
  }();
  // Low, so that one run stays below 50 ms with sanitizers.
  text::TemplateLimits limits;
  limits.steps = 20'000;
  limits.range = 1'000;
  limits.source_bytes = 16u << 10;
  limits.output_bytes = 64u << 10;
  limits.live_bytes = 1u << 20;
  try {
    const std::string_view source(reinterpret_cast<const char*>(data), size);
    (void)text::ChatTemplate::parse(source, "fuzz", limits).render(input);
  } catch (const Error&) {
  }
  return 0;
}
