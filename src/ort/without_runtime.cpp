// Stands in for library.cpp and session.cpp in a build without ONNX Runtime's headers.
#include "base/error.h"
#include "ort/library.h"
#include "ort/session.h"

namespace duan::ort {
namespace {

[[noreturn]] void refuse() {
  throw Error("this duan was built without ONNX Runtime", "--engine onnx",
              "scripts/setup brings what is missing; then: cmake --preset release && make build");
}

}  // namespace

const Library& load_library() { refuse(); }

std::unique_ptr<engine::Engine> make_session(const ModelFolder&, const Options&) { refuse(); }

std::unique_ptr<engine::ImageEncoder> make_encoder(const ModelFolder&, const Options&) { refuse(); }

}  // namespace duan::ort
