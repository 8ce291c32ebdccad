// What the native engine computes for a few tokens, for comparing models with each other.
#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

#include "engine/engine.h"
#include "models/model.h"

namespace duan::test {

// fp32 logits of the last of 12 tokens, the same for every model with as many words.
inline std::vector<float> logits_of(const std::filesystem::path& folder) {
  const models::Model model = models::Model::open(folder);
  engine::Options options;
  options.context = 32;
  options.threads = 1;
  options.compute = engine::Compute::fp32;
  const auto engine = engine::make_native(model.graph, model.checkpoint, options);
  std::vector<int64_t> ids;
  for (int64_t i = 0; i < 12; ++i) ids.push_back(i * 7 % model.config.vocab_size);
  const auto logits = engine->forward(ids);
  return {logits.begin(), logits.end()};
}

}  // namespace duan::test
