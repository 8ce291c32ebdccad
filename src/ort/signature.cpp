#include "ort/signature.h"

#include <optional>

#include "base/error.h"
#include "ir/graph.h"
#include "onnx/names.h"

namespace duan::ort {
namespace {

constexpr int64_t kMaxExtent = int64_t{1} << 20;  // of heads and head_dim

struct Tensor {
  ONNXTensorElementDataType type;
  std::vector<int64_t> dims;  // -1 where the graph has a name
};
using Tensors = std::map<std::string, Tensor>;

Tensor tensor_of(const Ort::TypeInfo& info) {
  const auto tensor = info.GetTensorTypeAndShapeInfo();
  return {tensor.GetElementType(), tensor.GetShape()};
}

Tensors inputs_of(const Ort::Session& session) {
  const Ort::AllocatorWithDefaultOptions allocator;
  Tensors found;
  for (size_t i = 0; i < session.GetInputCount(); ++i) {
    found.emplace(session.GetInputNameAllocated(i, allocator).get(), tensor_of(session.GetInputTypeInfo(i)));
  }
  return found;
}

Tensors outputs_of(const Ort::Session& session) {
  const Ort::AllocatorWithDefaultOptions allocator;
  Tensors found;
  for (size_t i = 0; i < session.GetOutputCount(); ++i) {
    found.emplace(session.GetOutputNameAllocated(i, allocator).get(), tensor_of(session.GetOutputTypeInfo(i)));
  }
  return found;
}

Tensors defaults_of(const Ort::Session& session) {
  const Ort::AllocatorWithDefaultOptions allocator;
  Tensors found;
  for (size_t i = 0; i < session.GetOverridableInitializerCount(); ++i) {
    found.emplace(session.GetOverridableInitializerNameAllocated(i, allocator).get(),
                  tensor_of(session.GetOverridableInitializerTypeInfo(i)));
  }
  return found;
}

void check_ids(const std::string& name, const Tensor& tensor, size_t rank) {
  if (tensor.type != ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64 || tensor.dims.size() != rank) {
    throw Error(fmt::format("the input {} is not a tensor of int64 with {} dimensions", printable(name), rank));
  }
}

bool is_f16(const std::string& name, const Tensor& tensor, size_t rank) {
  const bool f16 = tensor.type == ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16;
  if ((!f16 && tensor.type != ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT) || tensor.dims.size() != rank) {
    throw Error(fmt::format("{} is not a tensor of float or float16 with {} dimensions", printable(name), rank));
  }
  return f16;
}

// An extent the graph fixes, or where it has a name only, what the folder's configuration says.
int64_t extent(const std::string& name, const char* what, int64_t in_graph, std::optional<int64_t> stated) {
  if (in_graph > 0 && stated && in_graph != *stated) {
    throw Error(
        fmt::format("{} has {} {}, the folder's configuration says {}", printable(name), in_graph, what, *stated));
  }
  const int64_t found = in_graph > 0 ? in_graph : stated.value_or(0);
  if (found < 1 || found > kMaxExtent) throw Error(fmt::format("{} does not say its {}", printable(name), what));
  return found;
}

Tensor take(Tensors& tensors, const std::string& name, const char* what) {
  auto node = tensors.extract(name);
  if (node.empty()) throw Error(fmt::format("the graph has no {} \"{}\"", what, printable(name)));
  return std::move(node.mapped());
}

CacheTensor cache_tensor(Tensors& inputs, Tensors& outputs, const std::string& past, const std::string& present,
                         const ModelFolder& folder, const std::map<std::string, std::string>& in_place) {
  const Tensor in = take(inputs, past, "input"), out = take(outputs, present, "output");
  CacheTensor cache{.past = past, .present = present};
  cache.f16 = is_f16(past, in, 4);
  if (is_f16(present, out, 4) != cache.f16) {
    throw Error(fmt::format("{} and {} are of different types", printable(past), printable(present)));
  }
  cache.kv_heads = extent(past, "heads", in.dims[1], folder.kv_heads);
  cache.head_dim = extent(past, "values a head", in.dims[3], folder.head_dim);
  const auto found = in_place.find(past);
  cache.in_place = found != in_place.end() && found->second == present;
  return cache;
}

// What ImageInputs feeds.
void take_image_inputs(Tensors& inputs, const checkpoint::VisionConfig& config) {
  const auto take_rows = [&](const std::string& name) {
    const Tensor rows = take(inputs, name, "input");
    if (is_f16(name, rows, 3)) throw Error(fmt::format("the input {} is of float16, expected float", name));
    extent(name, "values a token", rows.dims[2], config.out_hidden_size);
  };
  take_rows(onnx::kInputsEmbeds);
  for (size_t i = 0; i < config.deepstack_visual_indexes.size(); ++i) {
    take_rows(fmt::format("{}{}", ir::kDeepstackEmbeds, i));
  }
  const std::string name(ir::kPositionIds);
  const Tensor positions = take(inputs, name, "input");
  check_ids(name, positions, 3);
  extent(name, "coordinates", positions.dims[0], 3);
}

}  // namespace

Signature read_signature(const Ort::Session& session, const ModelFolder& folder,
                         const std::map<std::string, std::string>& in_place) {
  Tensors inputs = inputs_of(session), outputs = outputs_of(session);
  const Names& names = folder.names;
  Signature s;
  if (folder.images) {
    take_image_inputs(inputs, folder.images->config);
  } else {
    check_ids(names.input_ids, take(inputs, names.input_ids, "input"), 2);
  }
  const auto take_if_there = [&](const std::string& name) {
    const bool there = inputs.contains(name);
    if (there) check_ids(name, take(inputs, name, "input"), 2);
    return there;
  };
  s.attention_mask = take_if_there(names.attention_mask);
  s.position_ids = take_if_there(names.position_ids);
  for (int64_t layer = 0; inputs.contains(layer_name(names.past_key, layer)); ++layer) {
    for (const auto& [past, present] :
         {std::pair(names.past_key, names.present_key), std::pair(names.past_value, names.present_value)}) {
      s.caches.push_back(
          cache_tensor(inputs, outputs, layer_name(past, layer), layer_name(present, layer), folder, in_place));
    }
  }
  if (!inputs.empty()) {
    throw Error(fmt::format("the graph asks for the input \"{}\", which is not a text decoder's",
                            printable(inputs.begin()->first)));
  }
  const Tensors defaults = defaults_of(session);
  if (const auto keep = defaults.find(kRowsToKeep); keep != defaults.end()) {
    check_ids(kRowsToKeep, keep->second, 0);
    s.rows_to_keep = true;
  }

  const Tensor logits = take(outputs, names.logits, "output");
  s.f16_logits = is_f16(names.logits, logits, 3);
  if (logits.dims[2] > 0 && logits.dims[2] != folder.vocab_size) {
    throw Error(fmt::format("its logits have {} values, the folder's configuration has a vocabulary of {}",
                            logits.dims[2], folder.vocab_size));
  }
  s.last_row_only = !s.rows_to_keep && logits.dims[1] == 1;
  return s;
}

}  // namespace duan::ort
