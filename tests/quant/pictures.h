// Pictures that are made up: what a test says of a file is what the tower would make of it.
#pragma once

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/error.h"
#include "quant/calibration.h"

namespace duan::test {

class MadeUpPictures final : public quant::PictureReader {
 public:
  struct Known {
    int64_t rows, columns;
    uint64_t digest;
  };
  std::map<std::string, Known> known;  // by file name
  int64_t pad, width = 4;
  size_t levels = 0;
  int encoded = 0;

  explicit MadeUpPictures(std::map<std::string, Known> pictures = {}, int64_t token = 0)
      : known(std::move(pictures)), pad(token) {}

  std::vector<std::filesystem::path> files_of(const Json& messages, const std::filesystem::path& folder,
                                              const std::string&) const override {
    std::vector<std::filesystem::path> files;
    for (const Json& message : messages) {
      const Json content = message.value("content", Json());
      if (!content.is_array()) continue;
      for (const Json& part : content) {
        if (part.contains("image")) files.push_back(folder / part.at("image").get<std::string>());
      }
    }
    return files;
  }

  std::vector<Placed> place(std::vector<int64_t>& ids, const std::vector<std::filesystem::path>& files) override {
    std::vector<int64_t> longer;
    std::vector<Placed> placed;
    for (const int64_t id : ids) {
      if (id != pad) {
        longer.push_back(id);
        continue;
      }
      const auto& file = files.at(placed.size());
      const auto found = known.find(file.filename().string());
      if (found == known.end()) throw Error("No such file or directory", file.string());
      const Known& k = found->second;
      placed.push_back({file, static_cast<int64_t>(longer.size()), k.rows, k.columns, k.digest});
      longer.insert(longer.end(), static_cast<size_t>(k.rows * k.columns), pad);
    }
    ids = std::move(longer);
    return placed;
  }

  engine::ImageFeatures encode(const quant::CalibrationPicture& picture) override {
    ++encoded;
    engine::ImageFeatures made{picture.features->rows, picture.features->columns, width, {}, {}};
    made.embeds = numbers(picture.digest, made.tokens());
    for (size_t i = 0; i < levels; ++i) made.deepstack.push_back(numbers(picture.digest + i + 1, made.tokens()));
    return made;
  }

 private:
  std::vector<float> numbers(uint64_t seed, int64_t rows) const {
    std::vector<float> values;
    uint64_t state = seed;
    for (int64_t i = 0; i < rows * width; ++i) {
      state = state * 6364136223846793005u + 1442695040888963407u;
      values.push_back(static_cast<float>(static_cast<double>(state >> 40) / (1 << 23) - 1));
    }
    return values;
  }
};

// A set of two samples: text, a picture of 2 x 3 tokens, text, one of 1 x 2, text; and text alone.
inline quant::CalibrationSet samples_with_pictures(int64_t pad) {
  quant::CalibrationSet set;
  set.samples = {{1, 2, pad, pad, pad, pad, pad, pad, 3, pad, pad, 4, 5}, {5, 6, 7, 8}};
  std::vector<engine::SequenceImages::Image> images;
  for (const auto& [first, rows, columns] : {std::array<int64_t, 3>{2, 2, 3}, {9, 1, 2}}) {
    auto features = std::make_shared<engine::ImageFeatures>();
    features->rows = rows;
    features->columns = columns;
    set.pictures.push_back({fmt::format("{}.png", first), "pictures.jsonl:1", static_cast<uint64_t>(first), features});
    images.push_back({first, features});
  }
  set.images = {std::make_shared<const engine::SequenceImages>(std::move(images)), nullptr};
  return set;
}

}  // namespace duan::test
