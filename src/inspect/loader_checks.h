// Whether vLLM or transformers can load a checkpoint folder, requirement by requirement, read off its files alone. The
// requirements are those of the loaders' sources (vLLM) and of measured loads (transformers with compressed-tensors).
// (src/onnx/verify.h checks ONNX graphs; this has nothing to do with it.)
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace duan::inspect {

enum class Loader { vllm, transformers };
std::string_view loader_name(Loader loader);  // "vllm"

struct LoaderOptions {
  Loader loader = Loader::vllm;
  int64_t tensor_parallel = 1;  // vllm: devices that share each layer
  bool cpu = false;             // vllm: its kernels for processors
};

// note: met, but worth knowing.
enum class Verdict { ok, note, fail };
std::string_view verdict_name(Verdict verdict);  // "ok", "note", "FAIL"

struct LoaderCheck {
  std::string what;  // "quantization_status"
  Verdict verdict;
  std::string found;             // for ok and note all there is to say
  std::string expected, advice;  // fail
};
Json to_json(const LoaderCheck& check);

// Each requirement once, in a fixed order; of several modules that fail one, the first is named and the others counted.
// Checkpoints that are not quantized are checked for what remains. Throws Error if there is nothing to check: no
// config.json or weights, a model_type that duan does not know, a quant_method other than compressed-tensors.
std::vector<LoaderCheck> check_for_loader(const std::filesystem::path& folder, const LoaderOptions& options);

}  // namespace duan::inspect
