// Tiny models as ONNX folders, and skipping visibly where there is no ONNX Runtime.
#pragma once

#include <gtest/gtest.h>

#include "base/error.h"
#include "onnx/export.h"
#include "ort/library.h"
#include "ort/session.h"
#include "support/models.h"

namespace duan::test {

inline std::string missing_onnx_runtime() {
  try {
    ort::load_library();
    return "";
  } catch (const Error& e) {
    return e.what();
  }
}

inline onnx::Options export_options(onnx::Dialect dialect, bool kv_cache = true) {
  onnx::Options options;
  options.dialect = dialect;
  options.kv_cache = kv_cache;
  return options;
}

inline std::filesystem::path export_to(const TemporaryDir& dir, const std::filesystem::path& model,
                                       const onnx::Options& options) {
  const std::filesystem::path folder = dir.path() / "onnx";
  onnx::export_model(models::Model::open(model), folder, options, true);
  return folder;
}

// Exact products, so that what differs is the order of sums.
inline ort::Options session_options(int64_t context = 256, int64_t chunk = 512) {
  ort::Options options;
  options.threads = 1;
  options.context = context;
  options.chunk = chunk;
  options.accuracy_level = 0;
  return options;
}

inline std::unique_ptr<engine::Engine> open_session(const std::filesystem::path& folder,
                                                    const ort::Options& options = session_options()) {
  return ort::make_session(ort::ModelFolder::open(folder), options);
}

}  // namespace duan::test

#define DUAN_NEEDS_ONNX_RUNTIME() \
  if (const std::string missing = ::duan::test::missing_onnx_runtime(); !missing.empty()) GTEST_SKIP() << missing
