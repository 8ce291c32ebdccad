#include "ort/runtime.h"

#include <fmt/ranges.h>
#include <onnxruntime_session_options_config_keys.h>

#include "base/cpu.h"

namespace duan::ort {
namespace {

// Its log would go to stderr; what matters comes as an exception.
Ort::Env& environment() {
  static Ort::Env env(ORT_LOGGING_LEVEL_FATAL, "duan");
  return env;
}

Ort::SessionOptions session_options(const onnx::VerifiedModel& model, const Options& options) {
  Ort::SessionOptions result;
  result.SetIntraOpNumThreads(thread_count(options));
  result.SetInterOpNumThreads(1);
  result.SetGraphOptimizationLevel(ORT_ENABLE_ALL);
  result.AddConfigEntry(kOrtSessionOptionsModelExternalInitializersFileFolderPath,
                        std::filesystem::absolute(model.file.parent_path()).c_str());
  // Without it, x86 processors that lack VNNI add pairs of int8 products in 16 bits, which saturate. Elsewhere it does
  // nothing. Where nothing is rounded it would only convert weights, and ONNX Runtime 1.31 fails at some of those.
  if (model.facts.rounds_activations) result.AddConfigEntry(kOrtSessionOptionsAvx2PrecisionMode, "1");
  if (options.accuracy_level) {
    result.AddConfigEntry(kOrtSessionOptionsQDQMatMulNBitsAccuracyLevel,
                          std::to_string(*options.accuracy_level).c_str());
  }
  return result;
}

}  // namespace

int thread_count(const Options& options) { return options.threads > 0 ? options.threads : cpu_count(); }

Ort::Session open_session(const onnx::VerifiedModel& model, const Options& options) {
  Ort::Session session(environment(), model.bytes().data(), model.bytes().size(), session_options(model, options));
  model.check_unchanged();
  return session;
}

std::span<float> floats_of(Ort::Value& value, const char* name, const std::vector<int64_t>& shape) {
  const auto info = value.GetTensorTypeAndShapeInfo();
  if (info.GetElementType() != ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT || info.GetShape() != shape) {
    throw Error(fmt::format("the graph returned {} that is not float [{}]", name, fmt::join(shape, ", ")));
  }
  return {value.GetTensorMutableData<float>(), info.GetElementCount()};
}

}  // namespace duan::ort
