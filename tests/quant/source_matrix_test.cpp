#include "quant/source_matrix.h"

#include <gtest/gtest.h>

#include <limits>

#include "base/error.h"
#include "checkpoint/writer.h"
#include "support/paths.h"

namespace duan::quant {
namespace {

checkpoint::Checkpoint write(const test::TemporaryDir& dir, const std::vector<float>& values, const Shape& shape) {
  checkpoint::write_safetensors(
      dir.path() / "model.safetensors", {{"w", DType::f32, shape}},
      [&](size_t, const checkpoint::ByteSink& sink) { sink(std::as_bytes(std::span(values))); });
  return checkpoint::Checkpoint::open(dir.path());
}

std::vector<float> some_values(size_t count) {
  std::vector<float> values(count);
  for (size_t i = 0; i < count; ++i) values[i] = static_cast<float>((i * 2654435761u) % 2003) - 1001;
  return values;
}

TEST(SourceMatrix, AdjustsRowsAndColumns) {
  const test::TemporaryDir dir;
  const auto checkpoint = write(dir, {1, 2, 3, 4, 5, 6}, {3, 2});
  const SourceMatrix matrix(checkpoint, "w", {3, 2});
  std::vector<float> out(4);
  matrix.read(1, 2, {{1, 2, 4}, {10, 100}}, out.data());
  EXPECT_EQ(out, (std::vector<float>{15, 200, 12.5, 150}));
  matrix.read(1, 2, out.data());
  EXPECT_EQ(out, (std::vector<float>{3, 4, 5, 6}));
}

TEST(SourceMatrix, RoundsTheSameForAnyNumberOfThreads) {
  const test::TemporaryDir dir;
  const auto checkpoint = write(dir, some_values(3000 * 700), {3000, 700});
  const SourceMatrix matrix(checkpoint, "w", {3000, 700});
  std::vector<std::vector<int8_t>> codes;
  for (const int threads : {1, 2, 5}) {
    ThreadPool pool(threads);
    codes.emplace_back();
    int64_t next = 0;
    for_each_rounded(matrix, {}, {.bits = 8, .group_size = 100}, {}, pool, [&](const RoundedRows& piece) {
      EXPECT_EQ(piece.first, next);
      next += piece.count;
      for (const RoundedRow& row : piece.rows)
        codes.back().insert(codes.back().end(), row.codes.begin(), row.codes.end());
    });
    EXPECT_EQ(next, 3000);
  }
  EXPECT_EQ(codes[0], codes[1]);
  EXPECT_EQ(codes[0], codes[2]);
}

TEST(SourceMatrix, RoundsSomeRowsAsItRoundsAll) {
  const test::TemporaryDir dir;
  const std::vector<float> values = some_values(300 * 70);
  const auto checkpoint = write(dir, values, {300, 70});
  const SourceMatrix matrix(checkpoint, "w", {300, 70});
  const WeightRounding rounding{.bits = 4, .group_size = 10};
  ThreadPool pool(3);
  std::vector<RoundedRow> all;
  for_each_rounded(matrix, {}, rounding, {}, pool,
                   [&](const RoundedRows& piece) { all.insert(all.end(), piece.rows.begin(), piece.rows.end()); });
  for (const int64_t count : {1, 7, 300, 5000}) {
    for_spread_rounded(matrix, count, rounding, {}, pool, [&](const RoundedRows& some) {
      ASSERT_EQ(some.count, std::min<int64_t>(count, 300));
      for (int64_t i = 0; i < some.count; ++i) {
        const int64_t row = spread_row(i, some.count, 300);
        EXPECT_EQ(row * some.count / 300, i);
        EXPECT_EQ(some.rows[static_cast<size_t>(i)].codes, all[static_cast<size_t>(row)].codes);
        EXPECT_EQ(some.adjusted[static_cast<size_t>(i * 70)], values[static_cast<size_t>(row * 70)]);
      }
    });
  }
}

TEST(SourceMatrix, NamesTheFirstNumberThatIsNotFinite) {
  for (const float wrong : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    const test::TemporaryDir dir;
    std::vector<float> values(5000 * 300, 1.0f);
    values[4321 * 300 + 7] = wrong;
    values[4999 * 300] = wrong;
    const auto checkpoint = write(dir, values, {5000, 300});
    for (const int threads : {1, 4}) {
      ThreadPool pool(threads);
      try {
        SourceMatrix(checkpoint, "w", {5000, 300}).check_finite(pool);
        ADD_FAILURE() << "not refused";
      } catch (const Error& e) {
        EXPECT_NE(e.message().find("\"w\""), std::string::npos) << e.what();
        EXPECT_NE(e.message().find("[4321, 7]"), std::string::npos) << e.what();
      }
    }
  }
}

}  // namespace
}  // namespace duan::quant
