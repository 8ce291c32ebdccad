#include "ort/library.h"

#include <dlfcn.h>
#include <onnxruntime_cxx_api.h>

#include <charconv>
#include <cstdlib>
#include <filesystem>
#include <vector>

#include "base/error.h"

namespace duan::ort {
namespace {
namespace fs = std::filesystem;

constexpr const char* kHint =
    "scripts/setup in duan's sources brings it; a library elsewhere is named by "
    "DUAN_ONNXRUNTIME=/path/libonnxruntime.so";

// Beside the build tree: build/<preset>/bin/duan.
fs::path brought_by_setup() {
  std::error_code ignored;
  const fs::path program = fs::read_symlink("/proc/self/exe", ignored).parent_path();
  if (program.empty()) return {};
  return (program / "../../../.deps/onnxruntime/lib/libonnxruntime.so.1").lexically_normal();
}

struct Opened {
  void* handle;
  std::string file;
};

Opened open_library() {
  if (const char* named = std::getenv(kLibraryVariable); named != nullptr && *named != '\0') {
    void* handle = ::dlopen(named, RTLD_NOW | RTLD_LOCAL);
    if (handle == nullptr) {
      throw Error(fmt::format("cannot be opened: {}", printable(::dlerror(), 300)), kLibraryVariable,
                  "it names the file libonnxruntime.so of ONNX Runtime");
    }
    return {handle, named};
  }
  // Debian's name of the library holds the minor version too.
  std::vector<std::string> names = {"libonnxruntime.so.1", fmt::format("libonnxruntime.so.1.{}", ORT_API_VERSION),
                                    "libonnxruntime.so"};
  std::error_code ignored;
  if (const fs::path file = brought_by_setup(); !file.empty() && fs::exists(file, ignored))
    names.insert(names.begin(), file.string());
  for (const std::string& name : names) {
    if (void* handle = ::dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL)) return {handle, name};
  }
  throw Error("ONNX Runtime is not there", "libonnxruntime.so.1", kHint);
}

// "1.31.1" -> 31; -1 unless it is a version 1.
int minor_version(std::string_view version) {
  int minor = -1;
  if (version.starts_with("1.")) std::from_chars(version.data() + 2, version.data() + version.size(), minor);
  return minor;
}

// Without it ONNX Runtime neither opens external data nor knows the processor, and says so in many ways.
void check_proc() {
#if defined(__linux__)
  std::error_code ignored;
  if (fs::exists("/proc/self/fd", ignored)) return;
  throw Error("needs /proc, which is not mounted here", "ONNX Runtime", "as root: mount -t proc proc /proc");
#endif
}

Library load() {
  const Opened opened = open_library();
  const auto get_base = reinterpret_cast<const OrtApiBase* (*)()>(::dlsym(opened.handle, "OrtGetApiBase"));
  if (get_base == nullptr) throw Error("is no ONNX Runtime: it has no OrtGetApiBase", opened.file, kHint);
  const OrtApiBase* base = get_base();
  const std::string version = base->GetVersionString();
  // Asked for an interface it does not have, the library would print.
  const OrtApi* api = minor_version(version) >= ORT_API_VERSION ? base->GetApi(ORT_API_VERSION) : nullptr;
  if (api == nullptr) {
    throw Error(fmt::format("is ONNX Runtime {}, at least 1.{} is needed", printable(version, 20), ORT_API_VERSION),
                opened.file, kHint);
  }
  check_proc();
  Ort::InitApi(api);
  return {opened.file, version};
}

}  // namespace

const Library& load_library() {
  static const Library library = load();
  return library;
}

}  // namespace duan::ort
