#include "models/model.h"

#include <gtest/gtest.h>

#include <functional>

#include "base/error.h"
#include "checkpoint/writer.h"
#include "support/models.h"

namespace duan::models {
namespace {

namespace fs = std::filesystem;

// A copy of the tiny model `source` whose tensors `change` may alter. Zeros for data: only headers matter here.
void copy_model(const fs::path& source, const fs::path& target,
                const std::function<void(std::vector<checkpoint::TensorSpec>&)>& change) {
  fs::copy_file(source / "config.json", target / "config.json");
  std::vector<checkpoint::TensorSpec> specs;
  for (const checkpoint::TensorInfo& tensor : checkpoint::Checkpoint::open(source).tensors()) {
    specs.push_back({tensor.name, tensor.dtype, tensor.shape});
  }
  change(specs);
  checkpoint::write_safetensors(target / "model.safetensors", specs, [&](size_t i, const checkpoint::ByteSink& sink) {
    const std::vector<std::byte> zeros(static_cast<size_t>(*element_count(specs[i].shape)) *
                                       dtype_size(specs[i].dtype));
    sink(zeros);
  });
}

std::string error_after(const std::function<void(std::vector<checkpoint::TensorSpec>&)>& change) {
  const test::TemporaryDir folder;
  copy_model(test::data_dir() / "models" / "qwen3-tied", folder.path(), change);
  try {
    Model::open(folder.path());
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}

size_t position_of(const std::vector<checkpoint::TensorSpec>& specs, const std::string& name) {
  for (size_t i = 0; i < specs.size(); ++i) {
    if (specs[i].name == name) return i;
  }
  throw std::runtime_error("no tensor " + name);
}

const std::string kUp = "model.layers.1.mlp.up_proj.weight";

TEST(Model, OpensEveryTinyModel) {
  for (const auto& folder : test::tiny_models()) {
    const Model model = Model::open(folder);
    for (const ir::WeightInfo& weight : model.graph.weights) EXPECT_TRUE(model.checkpoint.contains(weight.name));
  }
  EXPECT_EQ(error_after([](auto&) {}), "");
}

TEST(Model, NamesATensorThatIsMissing) {
  const std::string what = error_after(
      [](auto& specs) { specs.erase(specs.begin() + static_cast<std::ptrdiff_t>(position_of(specs, kUp))); });
  EXPECT_NE(what.find(kUp), std::string::npos) << what;
}

TEST(Model, NamesATensorOfAnotherShape) {
  const std::string what = error_after(
      [](auto& specs) { std::swap(specs[position_of(specs, kUp)].shape[0], specs[position_of(specs, kUp)].shape[1]); });
  EXPECT_NE(what.find(kUp), std::string::npos) << what;
  EXPECT_NE(what.find("[64, 80]"), std::string::npos) << what;
  EXPECT_NE(what.find("[80, 64]"), std::string::npos) << what;
}

TEST(Model, NamesAWeightOfIntegers) {
  const std::string what = error_after([](auto& specs) { specs[position_of(specs, kUp)].dtype = DType::i8; });
  EXPECT_NE(what.find(kUp), std::string::npos) << what;
}

TEST(Model, TensorsThatNoNodeReadsAreAllowed) {
  EXPECT_EQ(error_after([](auto& specs) { specs.push_back({"rotary.inv_freq", DType::f32, {16}}); }), "");
}

TEST(Model, AFolderWithoutAModelIsAnError) {
  const test::TemporaryDir folder;
  EXPECT_THROW(Model::open(folder.path()), Error);
  EXPECT_THROW(Model::open(folder.path() / "absent"), Error);
}

}  // namespace
}  // namespace duan::models
