#include "quant/picture_rows.h"

#include <algorithm>

#include "base/error.h"
#include "base/free_memory.h"
#include "engine/inputs.h"
#include "ir/subgraph.h"

namespace duan::quant {

PictureRows::PictureRows(const ir::Graph& graph, const std::vector<Block>& blocks, const CalibrationSet* samples,
                         PictureReader* reader)
    : samples_(samples), reader_(reader) {
  if (samples_ == nullptr || samples_->pictures.empty()) return;
  DUAN_CHECK(reader_ != nullptr, "pictures, and nothing to read them");
  for (size_t b = 0; b < blocks.size(); ++b) {
    const ir::Graph part = ir::subgraph(graph, blocks[b].first, blocks[b].last);
    if (engine::DecoderInputs::reads_embeds(part)) embeds_until_ = b + 1;
    for (const int64_t level : engine::DecoderInputs::deepstack_levels(part)) {
      deepstack_until_.resize(std::max(deepstack_until_.size(), static_cast<size_t>(level) + 1));
      deepstack_until_[static_cast<size_t>(level)] = b + 1;
    }
  }
}

void PictureRows::prepare(size_t block, const std::function<void(size_t, size_t)>& progress) {
  if (samples_ == nullptr || samples_->pictures.empty() || encoded_) return;
  size_t until = embeds_until_;
  for (const size_t level : deepstack_until_) until = std::max(until, level);
  if (block >= until) return;
  const std::vector<CalibrationPicture>& pictures = samples_->pictures;
  for (size_t i = 0; i < pictures.size(); ++i) {
    engine::ImageFeatures& features = *pictures[i].features;
    engine::ImageFeatures made;
    try {
      made = reader_->encode(pictures[i]);
    } catch (const Error& e) {
      const std::string where = fmt::format("{}, picture {}", pictures[i].where, pictures[i].file.string());
      throw Error(e.message(), where, e.hint());
    }
    DUAN_CHECK(made.rows == features.rows && made.columns == features.columns, "{} x {} tokens became {} x {}",
               features.rows, features.columns, made.rows, made.columns);
    features = std::move(made);
    if (block > 0) release(block - 1);
    if (progress) progress(i + 1, pictures.size());
  }
  encoded_ = true;
}

void PictureRows::release(size_t block) {
  if (samples_ == nullptr) return;
  for (const CalibrationPicture& picture : samples_->pictures) {
    if (block + 1 >= embeds_until_) free_memory(picture.features->embeds);
    for (size_t level = 0; level < picture.features->deepstack.size(); ++level) {
      if (level >= deepstack_until_.size() || block + 1 >= deepstack_until_[level]) {
        free_memory(picture.features->deepstack[level]);
      }
    }
  }
}

}  // namespace duan::quant
