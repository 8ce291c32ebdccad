// Any bytes as an ONNX model: an Error of one line, or facts that hold.
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "base/error.h"
#include "onnx/verify.h"

using namespace duan;
using namespace duan::onnx;

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  try {
    const ModelFacts facts = verify_model(bytes, [](std::string_view location) -> int64_t {
      if (location.empty()) throw Error("has no name");
      return 1 << 20;
    });
    require(facts.nodes <= static_cast<int64_t>(size) && facts.weight_bytes >= 0);
    for (const auto& [past, present] : facts.caches_in_place) require(!past.empty() && !present.empty());
  } catch (const Error& e) {
    require(std::strchr(e.what(), '\n') == nullptr && std::strlen(e.what()) < 4000);
  }
  return 0;
}
