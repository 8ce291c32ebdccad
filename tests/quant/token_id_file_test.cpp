#include "quant/token_id_file.h"

#include <gtest/gtest.h>

#include <fstream>

#include "base/error.h"
#include "checkpoint/writer.h"
#include "support/paths.h"

namespace duan::quant {
namespace {

struct Tensor {
  std::string name;
  DType dtype;
  Shape shape;
  std::vector<int64_t> numbers;
};

class TokenIds : public testing::Test {
 protected:
  std::filesystem::path write(const std::vector<Tensor>& tensors) {
    std::vector<checkpoint::TensorSpec> specs;
    for (const Tensor& tensor : tensors) specs.push_back({tensor.name, tensor.dtype, tensor.shape});
    const auto file = folder_.path() / "ids.safetensors";
    checkpoint::write_safetensors(file, specs, [&](size_t i, const checkpoint::ByteSink& sink) {
      for (const int64_t number : tensors[i].numbers) {
        sink({reinterpret_cast<const std::byte*>(&number), dtype_size(tensors[i].dtype)});  // little-endian
      }
    });
    return file;
  }

  std::string error_of(const std::vector<Tensor>& tensors) {
    try {
      read_token_ids(write(tensors), 100);
    } catch (const Error& e) {
      const std::string what = e.what();
      return what.substr(what.find("ids.safetensors"));
    }
    return "";
  }

  const test::TemporaryDir folder_;
};

using Rows = std::vector<std::vector<int64_t>>;

TEST_F(TokenIds, RowsAreSamplesAndOneListIsOne) {
  for (const DType dtype : {DType::i32, DType::i64}) {
    const TokenIdFile rows = read_token_ids(write({{"input_ids", dtype, {2, 3}, {1, 2, 3, 4, 5, 99}}}), 100);
    EXPECT_EQ(rows.rows, (Rows{{1, 2, 3}, {4, 5, 99}}));
    EXPECT_FALSE(rows.flat);
    const TokenIdFile flat = read_token_ids(write({{"input_ids", dtype, {3}, {1, 2, 3}}}), 100);
    EXPECT_EQ(flat.rows, (Rows{{1, 2, 3}}));
    EXPECT_TRUE(flat.flat);
  }
}

TEST_F(TokenIds, PaddingIsLeftOut) {
  const auto file = write({{"input_ids", DType::i64, {4, 3}, {7, 1, 2, 3, 4, 7, 5, 6, 7, 7, 7, 7}},
                           {"attention_mask", DType::i32, {4, 3}, {0, 1, 1, 1, 1, 0, 1, 1, 1, 0, 0, 0}}});
  EXPECT_EQ(read_token_ids(file, 100).rows, (Rows{{1, 2}, {3, 4}, {5, 6, 7}, {}}));
  // What padding holds is nobody's business: -100 is common.
  EXPECT_EQ(read_token_ids(
                write({{"input_ids", DType::i32, {2}, {3, -100}}, {"attention_mask", DType::i32, {2}, {1, 0}}}), 100)
                .rows,
            (Rows{{3}}));
}

TEST_F(TokenIds, RefusesWhatIsAmbiguousByName) {
  const Tensor good{"input_ids", DType::i32, {2, 2}, {1, 2, 3, 4}};
  EXPECT_EQ(error_of({}), "ids.safetensors: \"input_ids\": is missing");
  EXPECT_EQ(error_of({good, {"labels", DType::i32, {1}, {1}}}), "ids.safetensors: holds a tensor \"labels\"");
  EXPECT_EQ(error_of({{"input_ids", DType::f32, {1}, {1}}}),
            "ids.safetensors: \"input_ids\": has the type F32, expected I32 or I64");
  EXPECT_EQ(error_of({{"input_ids", DType::i32, {1, 1, 1}, {1}}}),
            "ids.safetensors: \"input_ids\": has 3 dimensions, expected 1 or 2");
  EXPECT_EQ(error_of({{"input_ids", DType::i32, {}, {1}}}),
            "ids.safetensors: \"input_ids\": has 0 dimensions, expected 1 or 2");
  EXPECT_EQ(error_of({{"input_ids", DType::i32, {1'000'000'000'000, 0}, {}}}),
            "ids.safetensors: \"input_ids\": has rows of no ids");
  EXPECT_EQ(error_of({{"input_ids", DType::i32, {2, 2}, {1, 2, 3, 100}}}),
            "ids.safetensors: \"input_ids\": is 100 at [1, 1], not a token id in [0, 100)");
  EXPECT_EQ(error_of({{"input_ids", DType::i64, {2}, {1, -1}}}),
            "ids.safetensors: \"input_ids\": is -1 at [1], not a token id in [0, 100)");
  EXPECT_EQ(error_of({good, {"attention_mask", DType::i32, {4}, {1, 1, 1, 1}}}),
            "ids.safetensors: \"attention_mask\": has another shape than \"input_ids\"");
  EXPECT_EQ(error_of({good, {"attention_mask", DType::i32, {2, 2}, {1, 1, 2, 1}}}),
            "ids.safetensors: \"attention_mask\": is 2 at [1, 0], expected 0 or 1");
  EXPECT_EQ(error_of({good, {"attention_mask", DType::u8, {2, 2}, {1, 1, 1, 1}}}),
            "ids.safetensors: \"attention_mask\": has the type U8, expected I32 or I64");
  EXPECT_EQ(error_of({{"input_ids", DType::i32, {3}, {1, 2, 3}}, {"attention_mask", DType::i32, {3}, {1, 0, 1}}}),
            "ids.safetensors: \"attention_mask\": has padding between ids, before [2]");
}

TEST_F(TokenIds, RefusesWhatIsNoSafetensorsFile) {
  std::ofstream(folder_.path() / "short.safetensors") << "{}";
  EXPECT_THROW(read_token_ids(folder_.path() / "short.safetensors", 100), Error);
  EXPECT_THROW(read_token_ids(folder_.path() / "absent.safetensors", 100), Error);
}

}  // namespace
}  // namespace duan::quant
