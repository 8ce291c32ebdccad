// Exported folders: what is in them, and that our own checker of untrusted files accepts every one.
#include "onnx/export.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/json.h"
#include "onnx/genai_config.h"
#include "onnx/names.h"
#include "onnx/onnx.pb.h"
#include "onnx/verify.h"
#include "support/models.h"

namespace duan::onnx {
namespace {

constexpr Dialect kDialects[] = {Dialect::onnx21, Dialect::onnx23, Dialect::ort};

TEST(Export, EveryFormOfEveryTinyModelPassesTheChecker) {
  const test::TemporaryDir dir;
  auto folders = test::tiny_models();
  ASSERT_GE(folders.size(), 5u);
  folders.push_back(test::data_dir() / "vl" / "qwen3-vl");
  for (const auto& folder : folders) {
    const models::Model model = models::Model::open(folder);
    for (const Dialect dialect : kDialects) {
      for (const Precision precision : {Precision::fp32, Precision::fp16}) {
        for (const bool kv_cache : {true, false}) {
          Options options;
          options.dialect = dialect;
          options.precision = precision;
          options.kv_cache = kv_cache;
          options.logits = kv_cache ? Logits::all : Logits::last;
          const Export result = export_model(model, dir.path() / "out", options, true);
          const VerifiedModel verified = verify_file(dir.path() / "out" / (model.vision ? kDecoderFile : kModelFile));
          int64_t nodes = verified.facts.nodes;
          if (model.vision) {
            for (const char* name : {kEmbeddingFile, kTowerFile})
              nodes += verify_file(dir.path() / "out" / name).facts.nodes;
          }
          EXPECT_EQ(nodes, static_cast<int64_t>(result.nodes));
          const bool in_place = dialect == Dialect::ort && kv_cache;
          EXPECT_EQ(verified.facts.caches_in_place.size(),
                    in_place ? static_cast<size_t>(2 * model.config.num_hidden_layers) : 0u);
        }
      }
    }
  }
}

// What an initializer's external_data says.
std::string place_of(const VerifiedModel& model, const std::string& name) {
  pb::ModelProto proto;
  EXPECT_TRUE(proto.ParseFromArray(model.bytes().data(), static_cast<int>(model.bytes().size())));
  for (const pb::TensorProto& tensor : proto.graph().initializer()) {
    if (tensor.name() != name) continue;
    std::string place;
    for (const auto& entry : tensor.external_data()) place += entry.key() + " " + entry.value() + " ";
    return place;
  }
  return "";
}

TEST(Export, ModelsThatSeeImagesAreThreeGraphsOverOneFile) {
  const models::Model model = models::Model::open(test::data_dir() / "vl" / "qwen3-vl");
  const test::TemporaryDir dir;
  const std::filesystem::path out = dir.path() / "out";
  for (const int turn : {1, 2}) {  // over itself, too
    const Export result = export_model(model, out, {}, turn == 2);
    ASSERT_GE(result.files.size(), 5u);
    EXPECT_EQ(result.files[0].name, "model.onnx.data");
    EXPECT_EQ(result.files[1].name, kDecoderFile);
    EXPECT_EQ(result.files[2].name, kEmbeddingFile);
    EXPECT_EQ(result.files[3].name, kTowerFile);
  }
  for (const char* name : {"preprocessor_config.json", "config.json"}) {
    EXPECT_TRUE(std::filesystem::exists(out / name)) << name;
  }
  for (const char* name : {"model.onnx", "genai_config.json"}) EXPECT_FALSE(std::filesystem::exists(out / name));

  ASSERT_TRUE(model.config.tie_word_embeddings);
  const std::string tied = "model.language_model.embed_tokens.weight";
  const std::string place = place_of(verify_file(out / kEmbeddingFile), tied);
  EXPECT_NE(place.find("location model.onnx.data"), std::string::npos) << place;
  EXPECT_EQ(place_of(verify_file(out / kDecoderFile), tied), place);
}

TEST(Export, ModelsThatSeeImagesHaveNoContextToChoose) {
  const models::Model model = models::Model::open(test::data_dir() / "vl" / "qwen3-vl");
  const test::TemporaryDir dir;
  Options options;
  options.context = 100;
  EXPECT_THROW(export_model(model, dir.path() / "out", options), Error);
}

TEST(Export, GenAiIsToldToComputeInt8ProductsExactly) {
  const models::Model model = models::Model::open(test::tiny_models().front());
  Options options;
  options.context = 8;
  for (const bool int8_products : {false, true}) {
    const Json config = genai_config(model.config, {}, options, int8_products);
    const Json& session = config.at("model").at("decoder").at("session_options");
    EXPECT_EQ(session.value("session.x64quantprecision", ""), int8_products ? "1" : "");
  }
}

}  // namespace
}  // namespace duan::onnx
