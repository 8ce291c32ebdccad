#include "image_fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  duan::vision::fuzz_image(data, size, "\x89PNG\r\n\x1A\n");
  return 0;
}
