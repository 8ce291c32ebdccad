// Graphs written field by field whose inputs and outputs are not quite a decoder's.
#include <gtest/gtest.h>

#include <fstream>

#include "base/json.h"
#include "onnx/model_bytes.h"
#include "ort/onnx_folders.h"

namespace duan::ort {
namespace {

using test::kFloat, test::kInt64, test::ModelBytes;
constexpr uint64_t kFloat16 = 10;

std::string constant(const std::string& name, uint64_t type, const std::vector<int64_t>& dims) {
  size_t bytes = type == kFloat ? 4 : type == kFloat16 ? 2 : 8;
  for (const int64_t dim : dims) bytes *= static_cast<size_t>(dim);
  return test::tensor(name, type, dims, std::string(bytes, '\0'));
}

// Whatever two tokens are fed: logits of zeros, and keys and values of zeros for two positions.
struct Decoder {
  uint64_t ids = kInt64, logits = kFloat, past = kFloat, present = kFloat;
  std::vector<int64_t> past_dims = {1, 1, 2, 4}, present_dims = {1, 1, 2, 4}, logits_dims = {1, 2, 8};
  std::string extra_input = "";

  std::string text() const {
    ModelBytes model;
    model.inputs = {test::value_info("input_ids", ids, {1, 2})};
    model.outputs = {test::value_info("logits", logits, logits_dims)};
    model.weights = {constant("all_logits", logits, logits_dims)};
    model.nodes = {test::node("Identity", {"all_logits"}, {"logits"}, "head").text()};
    for (const std::string which : {"key", "value"}) {
      model.inputs.push_back(test::value_info("past_key_values.0." + which, past, past_dims));
      model.outputs.push_back(test::value_info("present.0." + which, present, present_dims));
      model.weights.push_back(constant("all_" + which, present, present_dims));
      model.nodes.push_back(test::node("Identity", {"all_" + which}, {"present.0." + which}, which).text());
    }
    if (!extra_input.empty()) model.inputs.push_back(test::value_info(extra_input, kFloat, {1}));
    return model.text();
  }
};

class Signature : public testing::Test {
 protected:
  void SetUp() override {
    DUAN_NEEDS_ONNX_RUNTIME();
    std::ofstream(dir_.path() / "genai_config.json") << R"({"model": {"vocab_size": 8, "context_length": 16,
      "decoder": {"filename": "model.onnx", "inputs": {}, "outputs": {}}}})";
  }

  // What opening it and feeding two tokens throws, "" if nothing.
  std::string error_of(const Decoder& decoder) {
    std::ofstream(dir_.path() / "model.onnx", std::ios::binary) << decoder.text();
    try {
      const auto engine = test::open_session(dir_.path(), test::session_options(16));
      const std::vector<int64_t> ids = {1, 2};
      engine->forward(ids);
      return "";
    } catch (const Error& e) {
      EXPECT_EQ(e.where(), (dir_.path() / "model.onnx").string());
      return e.message();
    }
  }

  test::TemporaryDir dir_;
};

TEST_F(Signature, OfTypesOtherThanADecodersAreErrors) {
  const auto contains = [&](const Decoder& decoder, const std::string& expected) {
    const std::string error = error_of(decoder);
    EXPECT_NE(error.find(expected), std::string::npos) << error << ", expected: " << expected;
  };
  contains({.ids = kFloat}, "the input input_ids is not a tensor of int64 with 2 dimensions");
  contains({.logits = kInt64}, "logits is not a tensor of float or float16 with 3 dimensions");
  contains({.logits_dims = {2, 8}}, "logits is not a tensor of float or float16 with 3 dimensions");
  contains({.logits_dims = {1, 2, 9}}, "its logits have 9 values, the folder's configuration has a vocabulary of 8");
  contains({.past = kInt64}, "past_key_values.0.key is not a tensor of float or float16 with 4 dimensions");
  contains({.past_dims = {1, 2}}, "past_key_values.0.key is not a tensor of float or float16 with 4 dimensions");
  contains({.present = kFloat16}, "past_key_values.0.key and present.0.key are of different types");
  contains({.past_dims = {1, int64_t{1} << 21, 2, 4}}, "past_key_values.0.key does not say its heads");
  contains({.extra_input = "pixel_values"}, "asks for the input \"pixel_values\"");
}

TEST_F(Signature, ShapesThatAreNotThoseOfThePassAreErrors) {
  const std::string logits = error_of({.past_dims = {1, 1, 0, 4}, .logits_dims = {1, 3, 8}});
  EXPECT_NE(logits.find("the graph returned logits of another shape than [1, 2, 8]"), std::string::npos) << logits;
  const std::string cache = error_of({.past_dims = {1, 1, 0, 4}, .present_dims = {1, 1, 3, 4}});
  EXPECT_NE(cache.find("the graph returned present.0.key of another shape than the cache of 2 positions"),
            std::string::npos)
      << cache;
}

}  // namespace
}  // namespace duan::ort
