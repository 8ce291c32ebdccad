// The planned vision tower against the interpreted one; both against transformers: tests/cli/image_test.cpp.
#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "base/cpu.h"
#include "base/error.h"
#include "engine/image_encoder.h"
#include "engine/plan.h"
#include "models/model.h"
#include "support/paths.h"

namespace duan::engine {
namespace {

// Any patches: positions and shares need not be those of a picture.
struct RandomPatches {
  RandomPatches(const checkpoint::VisionConfig& config, int64_t merged_rows, int64_t merged_columns)
      : rows(merged_rows), columns(merged_columns) {
    std::mt19937 random(3);
    std::normal_distribution<float> normal;
    const int64_t patches = rows * columns * config.merged_patches();
    for (int64_t i = 0; i < patches * config.patch_values(); ++i) pixels.push_back(normal(random) / 2);
    for (int64_t i = 0; i < patches * 2; ++i) positions.push_back(random() % 9);
    for (int64_t i = 0; i < patches * 4; ++i) {
      table_rows.push_back(random() % static_cast<uint64_t>(config.num_position_embeddings));
      table_shares.push_back(normal(random));
    }
  }
  ImagePatches view() const { return {rows, columns, pixels, positions, table_rows, table_shares}; }

  int64_t rows, columns;
  std::vector<float> pixels, table_shares;
  std::vector<int64_t> positions, table_rows;
};

const models::Model& tiny() {
  static const models::Model model = models::Model::open(test::data_dir() / "vl" / "qwen3-vl");
  return model;
}

std::vector<float> all(const ImageFeatures& features) {
  std::vector<float> values = features.embeds;
  for (const auto& level : features.deepstack) values.insert(values.end(), level.begin(), level.end());
  return values;
}

double rms_difference(const std::vector<float>& a, const std::vector<float>& b) {
  double sum = 0, size = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    sum += std::pow(static_cast<double>(a[i]) - b[i], 2);
    size += std::pow(static_cast<double>(b[i]), 2);
  }
  return std::sqrt(sum / size);
}

TEST(NativeEncoder, MakesWhatTheInterpreterMakesWithAndWithoutEachFusion) {
  std::vector<std::vector<std::string>> disabled = {{}, {"all"}};
  for (const std::string& name : fusion_names()) disabled.push_back({name});
  for (const auto& [rows, columns] : {std::pair<int64_t, int64_t>{1, 1}, {3, 5}, {2, 17}}) {
    const RandomPatches patches(*tiny().config.vision, rows, columns);
    const ImageFeatures expected = make_reference_encoder(*tiny().vision, tiny().checkpoint)->encode(patches.view());
    ASSERT_EQ(expected.deepstack.size(), 2u);
    ASSERT_EQ(expected.embeds.size(), static_cast<size_t>(rows * columns * expected.width));
    for (const auto& names : disabled) {
      Options options;
      options.compute = Compute::fp32;
      options.disabled_fusions = names;
      const auto encoder = make_native_encoder(*tiny().vision, tiny().checkpoint, options);
      EXPECT_LE(rms_difference(all(encoder->encode(patches.view())), all(expected)), 1e-5)
          << rows << " x " << columns << (names.empty() ? "" : " without " + names[0]);
    }
  }
}

// Two threads divide the columns of few rows, and are dealt the rows of a large picture.
TEST(NativeEncoder, GivesTheSameBitsForAnyNumberOfThreads) {
  for (const auto& [rows, columns] : {std::pair<int64_t, int64_t>{4, 9}, {20, 20}}) {
    const RandomPatches patches(*tiny().config.vision, rows, columns);
    for (const Compute compute : {Compute::fp32, Compute::int16, Compute::bf16}) {
      const auto with = [&](int threads) {
        Options options;
        options.compute = compute;
        options.threads = threads;
        return all(make_native_encoder(*tiny().vision, tiny().checkpoint, options)->encode(patches.view()));
      };
      const std::vector<float> one = with(1);
      EXPECT_EQ(with(2), one) << rows << " x " << columns;
      EXPECT_EQ(with(5), one) << rows << " x " << columns;
    }
  }
}

// The roundings of 8 bits, through three blocks and a merger.
TEST(NativeEncoder, StaysCloseInBf16) {
  const RandomPatches patches(*tiny().config.vision, 3, 4);
  Options options;
  options.compute = Compute::bf16;
  const ImageFeatures expected = make_reference_encoder(*tiny().vision, tiny().checkpoint)->encode(patches.view());
  const auto encoder = make_native_encoder(*tiny().vision, tiny().checkpoint, options);
  const double difference = rms_difference(all(encoder->encode(patches.view())), all(expected));
  EXPECT_LE(difference, 2e-2);
  EXPECT_GT(difference, 1e-5);  // else it did not run in bf16
}

TEST(NativeEncoder, StaysCloserInInt16) {
  if (!cpu_has(Isa::avx2)) GTEST_SKIP() << "this processor has no avx2";
  const RandomPatches patches(*tiny().config.vision, 8, 9);
  Options options;
  options.compute = Compute::int16;
  const ImageFeatures expected = make_reference_encoder(*tiny().vision, tiny().checkpoint)->encode(patches.view());
  const auto encoder = make_native_encoder(*tiny().vision, tiny().checkpoint, options);
  const double difference = rms_difference(all(encoder->encode(patches.view())), all(expected));
  EXPECT_LE(difference, 2e-3);
  EXPECT_GT(difference, 1e-5);  // else it did not run in int16
}

TEST(NativeEncoder, RefusesPixelsThatAreNotFinite) {
  RandomPatches patches(*tiny().config.vision, 1, 2);
  patches.pixels[5] = NAN;
  for (const auto& encoder : {make_reference_encoder(*tiny().vision, tiny().checkpoint),
                              make_native_encoder(*tiny().vision, tiny().checkpoint, {})}) {
    EXPECT_THROW(encoder->encode(patches.view()), Error);
  }
}

TEST(NativeEncoder, StatesTheBytesOfItsBuffers) {
  const int64_t few = encoder_bytes(*tiny().vision, tiny().checkpoint, {}, 16);
  const int64_t many = encoder_bytes(*tiny().vision, tiny().checkpoint, {}, 1600);
  EXPECT_GT(few, 0);
  EXPECT_NEAR(static_cast<double>(many) / static_cast<double>(few), 100, 15);
}

}  // namespace
}  // namespace duan::engine
