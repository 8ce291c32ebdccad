// ONNX Runtime's library, opened when it is first needed: duan starts without it.
#pragma once

#include <string>

namespace duan::ort {

inline constexpr const char* kLibraryVariable = "DUAN_ONNXRUNTIME";

struct Library {
  std::string file;     // as it was opened: a path, or a name the system's loader found
  std::string version;  // "1.31.1"
};

// Opens the file DUAN_ONNXRUNTIME names, if it is set; else the one scripts/setup brought into the tree this program
// was built in; else the system's. Once per process; later calls answer with the same. Throws Error: it is not there,
// is no ONNX Runtime, or an older one than duan was built for; or duan was built without its headers; or /proc is not
// mounted.
const Library& load_library();

}  // namespace duan::ort
