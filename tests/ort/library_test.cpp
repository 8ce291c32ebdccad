// The ways not to find it end a program's run, not this one's: tests/cli/onnx_test.cpp.
#include "ort/library.h"

#include <gtest/gtest.h>

#include "ort/onnx_folders.h"

namespace duan::ort {
namespace {

TEST(Library, IsLoadedOnceAndTellsItsVersion) {
  DUAN_NEEDS_ONNX_RUNTIME();
  const Library& library = load_library();
  EXPECT_EQ(library.version.rfind("1.", 0), 0u) << library.version;
  EXPECT_NE(library.file.find("libonnxruntime"), std::string::npos) << library.file;
  EXPECT_EQ(&load_library(), &library);
}

}  // namespace
}  // namespace duan::ort
