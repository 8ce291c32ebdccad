#include "image_fuzz.h"

// The length behind RIFF is set to the file's own, because another is almost always refused.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const uint32_t length = size < 8 ? 0 : static_cast<uint32_t>(size - 8);
  std::string signature = "RIFF";
  for (int i = 0; i < 4; ++i) signature += static_cast<char>(length >> (8 * i) & 0xFF);
  duan::vision::fuzz_image(data, size, signature + "WEBP");
  return 0;
}
