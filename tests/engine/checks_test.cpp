#include "engine/checks.h"

#include <gtest/gtest.h>

#include <cstring>
#include <fstream>
#include <limits>

#include "base/error.h"
#include "engine/engine.h"
#include "models/model.h"
#include "support/models.h"

namespace duan::engine {
namespace {

TEST(Checks, NamesTheWeightThatIsNotFinite) {
  // A copy of a tiny model with one NaN planted in the data of one tensor.
  namespace fs = std::filesystem;
  const test::TemporaryDir dir;
  const fs::path source = test::data_dir() / "models" / "qwen3-untied";
  fs::copy(source / "config.json", dir.path() / "config.json");
  fs::copy(source / "model.safetensors", dir.path() / "model.safetensors");
  const std::string name = "model.layers.1.mlp.up_proj.weight";
  {
    const checkpoint::SafetensorsFile file(dir.path() / "model.safetensors");
    const auto view = file.find(name);
    ASSERT_TRUE(view.has_value());
    ASSERT_EQ(view->dtype, DType::bf16);
    size_t end = 0;
    for (const auto& entry : file.entries()) end = std::max(end, entry.end);
    const auto data_start = fs::file_size(dir.path() / "model.safetensors") - end;
    for (const auto& entry : file.entries()) {
      if (entry.name != name) continue;
      std::fstream out(dir.path() / "model.safetensors", std::ios::in | std::ios::out | std::ios::binary);
      out.seekp(static_cast<std::streamoff>(data_start + entry.begin));
      const uint16_t nan = 0x7FC0;
      out.write(reinterpret_cast<const char*>(&nan), sizeof nan);
    }
  }
  const models::Model model = models::Model::open(dir.path());
  Options options;
  options.context = 16;
  options.threads = 1;
  for (const auto& engine :
       {make_native(model.graph, model.checkpoint, options), make_reference(model.graph, model.checkpoint, options)}) {
    try {
      engine->forward(std::vector<int64_t>{1, 2, 3});
      FAIL() << "NaN logits passed";
    } catch (const Error& e) {
      EXPECT_NE(std::string(e.what()).find(name), std::string::npos) << e.what();
    }
    EXPECT_EQ(engine->position(), 0);
  }
}

TEST(Checks, RefusesIdsOutsideTheVocabulary) {
  const std::vector<int64_t> good = {0, 9}, negative = {-1}, large = {10};
  EXPECT_NO_THROW(check_ids(good, 10, 0, 2));
  EXPECT_THROW(check_ids(negative, 10, 0, 2), Error);
  EXPECT_THROW(check_ids(large, 10, 0, 2), Error);
  EXPECT_THROW(check_ids(good, 10, 1, 2), Error);
}

}  // namespace
}  // namespace duan::engine
