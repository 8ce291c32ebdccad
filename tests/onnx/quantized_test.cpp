// What quantized weights become, operator by operator; that the numbers are right, tests/interop/onnx_quantized.py
// says.
#include <gtest/gtest.h>

#include <cstring>
#include <map>

#include "checkpoint/writer.h"
#include "ir/builder.h"
#include "onnx/external_data.h"
#include "onnx/lower.h"
#include "onnx/verify.h"
#include "support/paths.h"

namespace duan::onnx {
namespace {

using Ops = std::map<std::string, int>;

constexpr int64_t kVocab = 6, kWidth = 64;

// ids -> rows of the embedding -> a linear layer with a bias -> the embedding once more, as the head.
ir::Graph tied_graph() {
  ir::Graph graph{.name = "tied"};
  const ir::Value ids = ir::input(graph, "input_ids", DType::i64, {ir::B, ir::T});
  const ir::Scope scope(graph), table = scope / "model" / "embed_tokens";
  const ir::Value x = ir::linear(scope / "a", ir::embed(table, ids, kVocab, kWidth), kWidth, true);
  ir::output(ir::linear(table, x, kVocab));
  return graph;
}

// The weights of tied_graph(), all quantized by one scheme.
class QuantizedGraph {
 public:
  explicit QuantizedGraph(checkpoint::QuantizationScheme scheme, DType scales = DType::bf16) : scheme_(scheme) {
    const bool fixed = scheme.input == InputRounding::fixed;
    add("a.bias", DType::f32, {kWidth});
    for (const auto& [module, rows] : {std::pair{"model.embed_tokens", kVocab}, std::pair{"a", kWidth}}) {
      const std::string name = module;
      const int64_t groups = scheme.group_size == 0 ? 1 : kWidth / scheme.group_size;
      add(name + ".weight_scale", scales, {rows, groups});
      if (!scheme.packed) {
        add(name + ".weight", DType::i8, {rows, kWidth});
        if (fixed) add((name == "a" ? name : "lm_head") + ".input_scale", DType::f32, {1});
        if (fixed) add((name == "a" ? name : "lm_head") + ".input_zero_point", DType::i8, {1});
        continue;
      }
      add(name + ".weight_packed", DType::i32, {rows, kWidth * scheme.bits / 32});
      add(name + ".weight_shape", DType::i64, {2}, static_cast<float>(rows));
      if (!scheme.symmetric) {
        add(name + ".weight_zero_point", DType::i32, {(rows * scheme.bits + 31) / 32, groups});
      }
    }
    std::vector<checkpoint::TensorSpec> specs;
    for (const auto& [spec, bytes] : tensors_) specs.push_back(spec);
    checkpoint::write_safetensors(
        dir_.path() / "model.safetensors", specs,
        [&](size_t i, const checkpoint::ByteSink& sink) { sink(std::as_bytes(std::span(tensors_[i].second))); });
  }

  Model lower(Dialect dialect, Precision precision = Precision::fp32) const {
    checkpoint::QuantizationScheme embedding = scheme_, linear = scheme_;
    embedding.targets = {"Embedding"}, embedding.input = InputRounding::none;
    linear.targets = {"Linear"};
    const auto checkpoint = checkpoint::Checkpoint::open(dir_.path(), {{{embedding, linear}, {}}});
    Options options;
    options.dialect = dialect;
    options.precision = precision;
    options.context = 8;
    options.logits = Logits::all;
    Model model = onnx::lower(tied_graph(), checkpoint, options);
    const auto bytes = static_cast<int64_t>(ExternalData(std::span(&model, 1), "data").bytes());
    EXPECT_NO_THROW(verify_model(model.proto.SerializeAsString(), [&](std::string_view) { return bytes; }));
    return model;
  }

  std::string bytes_of(const std::string& name) const {
    for (const auto& [spec, bytes] : tensors_) {
      if (spec.name == name) return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
    }
    return "";
  }

 private:
  // f32: all the same; i64: the value and the width; else counting bytes.
  void add(const std::string& name, DType dtype, const Shape& shape, float value = 0.25f) {
    std::vector<std::byte> bytes(static_cast<size_t>(*element_count(shape)) * dtype_size(dtype));
    for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(i * 7 + 1);
    const int64_t numbers[] = {static_cast<int64_t>(value), kWidth};
    if (dtype == DType::i64) std::memcpy(bytes.data(), numbers, sizeof numbers);
    for (size_t i = 0; dtype == DType::f32 && i < bytes.size(); i += 4) std::memcpy(bytes.data() + i, &value, 4);
    tensors_.push_back({{name, dtype, shape}, bytes});
  }

  checkpoint::QuantizationScheme scheme_;
  std::vector<std::pair<checkpoint::TensorSpec, std::vector<std::byte>>> tensors_;
  const test::TemporaryDir dir_;
};

// Nodes by operator, without those of every graph.
Ops ops_of(const Model& model) {
  Ops ops;
  for (const pb::NodeProto& node : model.proto.graph().node()) ++ops[node.op_type()];
  for (const char* common : {"Reshape", "Shape", "Concat", "Slice", "Gather", "Unsqueeze"}) ops.erase(common);
  return ops;
}

const pb::TensorProto* initializer(const Model& model, const std::string& name) {
  for (const pb::TensorProto& tensor : model.proto.graph().initializer()) {
    if (tensor.name() == name) return &tensor;
  }
  return nullptr;
}

std::vector<int64_t> dims_of(const Model& model, const std::string& name) {
  const pb::TensorProto* tensor = initializer(model, name);
  if (tensor == nullptr) return {};
  return {tensor->dims().begin(), tensor->dims().end()};
}

checkpoint::QuantizationScheme int8(InputRounding input) {
  return {.targets = {}, .bits = 8, .input = input, .input_symmetric = false};
}
checkpoint::QuantizationScheme packed(int bits, int64_t group_size, bool symmetric) {
  return {.targets = {}, .bits = bits, .symmetric = symmetric, .group_size = group_size, .packed = true};
}

TEST(Quantized, ProductsOfStaticInt8AreQuantizedAndDequantized) {
  const QuantizedGraph graph(int8(InputRounding::fixed));
  for (const Dialect dialect : {Dialect::onnx21, Dialect::onnx23, Dialect::ort}) {
    const Model model = graph.lower(dialect);
    // Two of each for the two products; the lookup casts its codes and scales itself, and one Neg is of
    // num_logits_to_keep.
    EXPECT_EQ(ops_of(model), (Ops{{"QuantizeLinear", 2},
                                  {"DequantizeLinear", 4},
                                  {"Transpose", 2},
                                  {"MatMul", 2},
                                  {"Cast", 4},
                                  {"Mul", 1},
                                  {"Neg", 2},
                                  {"Sub", 1}}));
    EXPECT_TRUE(model.int8_products);
    // The embedding and the head read the same bytes, which are the checkpoint's, and so are the scales.
    for (const char* name : {"model.embed_tokens.weight", "model.embed_tokens.weight_scale", "a.weight"}) {
      const pb::TensorProto* tensor = initializer(model, name);
      ASSERT_NE(tensor, nullptr) << name;
      EXPECT_TRUE(tensor->data_location() == pb::TensorProto::EXTERNAL || tensor->raw_data() == graph.bytes_of(name));
    }
    EXPECT_EQ(dims_of(model, "model.embed_tokens.weight"), (std::vector<int64_t>{kVocab, kWidth}));
    EXPECT_EQ(initializer(model, "model.embed_tokens.weight_scale")->data_type(), pb::TensorProto::BFLOAT16);
    // The checkpoint's zero point is 1.
    EXPECT_NE(initializer(model, "const.u8.129"), nullptr);
  }
}

TEST(Quantized, ProductsOfDynamicInt8AreOfIntegers) {
  const QuantizedGraph graph(int8(InputRounding::dynamic));
  for (const Dialect dialect : {Dialect::onnx21, Dialect::onnx23, Dialect::ort}) {
    const Model model = graph.lower(dialect);
    const Ops ops = ops_of(model);
    EXPECT_EQ(ops.at("MatMulInteger"), 2);
    EXPECT_EQ(ops.at("ReduceMax"), 2);
    EXPECT_FALSE(ops.contains("MatMul"));
    EXPECT_FALSE(ops.contains("DequantizeLinear"));
    EXPECT_TRUE(model.int8_products);
  }
}

TEST(Quantized, WeightsWithoutRoundedInputsAreDequantizedWithZeroPointsOfTheirOwn) {
  const Model model = QuantizedGraph(int8(InputRounding::none)).lower(Dialect::ort);
  EXPECT_FALSE(ops_of(model).contains("QuantizeLinear"));
  EXPECT_FALSE(model.int8_products);
  EXPECT_EQ(initializer(model, "a.weight_zero_point")->raw_data(), std::string(kWidth, '\0'));
  EXPECT_EQ(initializer(model, "model.embed_tokens.weight_zero_point")->raw_data(), std::string(kVocab, '\0'));
}

TEST(Quantized, GroupsBecomeBlocksInStandardOnnx) {
  for (const int bits : {4, 8}) {
    for (const bool symmetric : {true, false}) {
      for (const Dialect dialect : {Dialect::onnx21, Dialect::onnx23}) {
        SCOPED_TRACE(testing::Message() << bits << " bits, symmetric " << symmetric);
        const Model model = QuantizedGraph(packed(bits, 32, symmetric)).lower(dialect);
        const Ops ops = ops_of(model);
        EXPECT_EQ(ops.at("DequantizeLinear"), 2);
        EXPECT_EQ(ops.at("MatMul"), 2);
        EXPECT_EQ(dims_of(model, "a.weight_scale"), (std::vector<int64_t>{kWidth, 2}));
        const auto codes = dims_of(model, "model.embed_tokens.weight_packed");
        EXPECT_EQ(codes, bits == 4 ? (std::vector<int64_t>{kWidth, kVocab}) : (std::vector<int64_t>{kVocab, kWidth}));
        const pb::TensorProto* zero_points = initializer(model, "a.weight_zero_point");
        EXPECT_EQ(zero_points != nullptr, bits == 8 || !symmetric);
        if (zero_points != nullptr) {
          EXPECT_EQ(zero_points->data_type(), bits == 4 ? pb::TensorProto::INT4 : pb::TensorProto::INT8);
        }
      }
    }
  }
}

TEST(Quantized, GroupsAreTheCheckpointsBytesForOnnxRuntime) {
  for (const int bits : {4, 8}) {
    for (const bool symmetric : {true, false}) {
      SCOPED_TRACE(testing::Message() << bits << " bits, symmetric " << symmetric);
      const QuantizedGraph graph(packed(bits, 32, symmetric));
      const Model model = graph.lower(Dialect::ort);
      const Ops ops = ops_of(model);
      EXPECT_EQ(ops.at("MatMulNBits"), 2);
      EXPECT_EQ(ops.at("GatherBlockQuantized"), 1);
      // One for the head and the embedding.
      const std::string name = "model.embed_tokens.weight_packed";
      EXPECT_EQ(initializer(model, name)->raw_data(), graph.bytes_of(name));
      EXPECT_EQ(dims_of(model, name), (std::vector<int64_t>{kVocab, 2, 32 * bits / 8}));
      EXPECT_EQ(initializer(model, "a.weight_zero_point") != nullptr, !symmetric);
    }
  }
}

TEST(Quantized, GroupsThatAreNoBlocksOfOnnxRuntimeTakeTheStandardForm) {
  for (const int64_t group_size : {8, 0}) {
    const Model model = QuantizedGraph(packed(4, group_size, true)).lower(Dialect::ort);
    // A row of 64 is a block, whatever the checkpoint calls it.
    EXPECT_EQ(ops_of(model).contains("MatMulNBits"), group_size == 0);
  }
}

TEST(Quantized, HalfPrecisionIsForActivationsBetweenQuantizedProducts) {
  const QuantizedGraph graph(int8(InputRounding::fixed), DType::f32);
  const Ops single = ops_of(graph.lower(Dialect::onnx21)), half = ops_of(graph.lower(Dialect::onnx21, Precision::fp16));
  // From the lookup, to and from each product, and to the logits.
  EXPECT_EQ(half.at("Cast"), single.at("Cast") + 6);
  EXPECT_EQ(half.at("MatMul"), 2);
}

}  // namespace
}  // namespace duan::onnx
