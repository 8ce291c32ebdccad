#include "onnx/external_data.h"

#include <gtest/gtest.h>

#include "base/json.h"
#include "onnx/builder.h"
#include "support/paths.h"

namespace duan::onnx {
namespace {

// Tensors of u8, each filled with its number.
Model model_of(const std::vector<int64_t>& sizes) {
  Builder builder;
  for (size_t i = 0; i < sizes.size(); ++i) {
    builder.initializer(std::to_string(i), pb::TensorProto::UINT8, {sizes[i]},
                        std::string(static_cast<size_t>(sizes[i]), static_cast<char>('0' + i)));
  }
  return builder.take();
}

int64_t offset_of(const Model& model, int initializer) {
  for (const auto& entry : model.proto.graph().initializer(initializer).external_data()) {
    if (entry.key() == "offset") return std::stoll(entry.value());
  }
  return -1;
}

TEST(ExternalData, LargeTensorsHavePagesOfTheirOwnAndSmallOnesFollow) {
  const test::TemporaryDir dir;
  const std::vector<int64_t> sizes{2000, 100'000, 100, 3000, 70'000};
  Model model = model_of(sizes);
  const uint64_t total = place_external(model, "data");
  EXPECT_EQ(offset_of(model, 1), 0);
  EXPECT_EQ(offset_of(model, 4), 102'400);
  EXPECT_EQ(offset_of(model, 0), 172'416);
  EXPECT_EQ(offset_of(model, 3), 174'464);
  EXPECT_EQ(offset_of(model, 2), -1);  // so small that it stays in the model
  EXPECT_EQ(total, 177'464u);

  AtomicFile file(dir.path() / "data", total);
  write_external(model, file, total, {});
  file.commit();
  const std::string content = read_file(dir.path() / "data");
  ASSERT_EQ(content.size(), total);
  for (const int i : {0, 1, 3, 4}) {
    const auto bytes = static_cast<size_t>(sizes[static_cast<size_t>(i)]);
    EXPECT_EQ(content.substr(static_cast<size_t>(offset_of(model, i)), bytes),
              std::string(bytes, static_cast<char>('0' + i)));
  }
}

}  // namespace
}  // namespace duan::onnx
