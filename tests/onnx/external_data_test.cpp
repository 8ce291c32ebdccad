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
  const ExternalData data(std::span(&model, 1), "data");
  const uint64_t total = data.bytes();
  EXPECT_EQ(offset_of(model, 1), 0);
  EXPECT_EQ(offset_of(model, 4), 102'400);
  EXPECT_EQ(offset_of(model, 0), 172'416);
  EXPECT_EQ(offset_of(model, 3), 174'464);
  EXPECT_EQ(offset_of(model, 2), -1);  // so small that it stays in the model
  EXPECT_EQ(total, 177'464u);

  AtomicFile file(dir.path() / "data", total);
  data.write(file, {});
  file.commit();
  const std::string content = read_file(dir.path() / "data");
  ASSERT_EQ(content.size(), total);
  for (const int i : {0, 1, 3, 4}) {
    const auto bytes = static_cast<size_t>(sizes[static_cast<size_t>(i)]);
    EXPECT_EQ(content.substr(static_cast<size_t>(offset_of(model, i)), bytes),
              std::string(bytes, static_cast<char>('0' + i)));
  }
}

TEST(ExternalData, ModelsShareWhatIsTheSameInBoth) {
  const test::TemporaryDir dir;
  // "0" differs in length, "1" is shared, "2" and "3" are small: the first of them differs in type.
  std::vector<Model> models{model_of({70'000, 80'000, 3000, 2000}), model_of({90'000, 80'000, 3000, 2000})};
  models[1].proto.mutable_graph()->mutable_initializer(2)->set_data_type(pb::TensorProto::INT8);
  const ExternalData data(models, "data");
  EXPECT_EQ(offset_of(models[0], 0), 0);
  EXPECT_EQ(offset_of(models[0], 1), 73'728);
  EXPECT_EQ(offset_of(models[1], 0), 155'648);
  EXPECT_EQ(offset_of(models[1], 1), 73'728);
  EXPECT_EQ(offset_of(models[0], 3), offset_of(models[1], 3));
  EXPECT_NE(offset_of(models[0], 2), offset_of(models[1], 2));

  AtomicFile file(dir.path() / "data", data.bytes());
  data.write(file, {});
  file.commit();
  const std::string content = read_file(dir.path() / "data");
  ASSERT_EQ(content.size(), data.bytes());
  EXPECT_EQ(content.substr(73'728, 80'000), std::string(80'000, '1'));
  EXPECT_EQ(content.substr(155'648, 90'000), std::string(90'000, '0'));
  EXPECT_EQ(content.substr(static_cast<size_t>(offset_of(models[1], 2)), 3000), std::string(3000, '2'));
}

}  // namespace
}  // namespace duan::onnx
