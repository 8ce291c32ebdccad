// What the loader must refuse: a library that says it is an ONNX Runtime of long ago.
#include <cstdint>

namespace {

const void* no_interface(uint32_t) { return nullptr; }
const char* version() { return "1.2.3"; }

// OrtApiBase of onnxruntime_c_api.h.
struct Base {
  const void* (*get_api)(uint32_t);
  const char* (*get_version_string)();
};
constexpr Base kBase{no_interface, version};

}  // namespace

extern "C" const Base* OrtGetApiBase() { return &kBase; }
