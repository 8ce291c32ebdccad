#include "ort/session.h"

#include <onnxruntime_cxx_api.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/error.h"
#include "engine/checks.h"
#include "onnx/verify.h"
#include "ort/cache.h"
#include "ort/image_inputs.h"
#include "ort/library.h"
#include "ort/runtime.h"
#include "tensor/dtype.h"

namespace duan::ort {
namespace {

constexpr int64_t kLogitsBytes = int64_t{64} << 20;  // of the rows forward_all asks for at once

class Session final : public engine::Engine {
 public:
  Session(const ModelFolder& folder, const onnx::VerifiedModel& model, const Options& options)
      : file_(folder.file),
        names_(folder.names),
        facts_(model.facts),
        vocab_(folder.vocab_size),
        context_(options.context),
        chunk_(std::max<int64_t>(options.chunk, 1)),
        threads_(thread_count(options)),
        session_(open_session(model, options)),
        signature_(read_signature(session_, folder, facts_.caches_in_place)),
        cache_(signature_.caches, context_),
        binding_(session_) {
    if (folder.images) images_.emplace(folder, options);
  }

  std::span<const float> forward(std::span<const int64_t> ids) override {
    engine::check_ids(ids, vocab_, position_, context_);
    std::span<const float> logits;
    whole_or_nothing([&] {
      if (!cached()) {
        logits = run_sequence(ids, 1);
      } else {
        for (size_t first = 0; first < ids.size(); first += static_cast<size_t>(chunk_)) {
          logits = run(ids.subspan(first, std::min(ids.size() - first, static_cast<size_t>(chunk_))),
                       position_ + static_cast<int64_t>(first), 1);
        }
      }
      check_finite(logits);
    });
    append(ids);
    return logits;
  }

  void forward_all(std::span<const int64_t> ids, const engine::LogitsFn& logits_fn) override {
    engine::check_ids(ids, vocab_, position_, context_);
    const auto count = static_cast<int64_t>(ids.size());
    const auto show = [&](int64_t first, std::span<const float> rows) {
      check_finite(rows);
      for (int64_t row = 0; row < static_cast<int64_t>(rows.size()) / vocab_; ++row) {
        logits_fn(first + row, rows.subspan(static_cast<size_t>(row * vocab_), static_cast<size_t>(vocab_)));
      }
    };
    whole_or_nothing([&] {
      if (cached()) {
        const int64_t slice =
            signature_.last_row_only
                ? 1
                : std::clamp<int64_t>(kLogitsBytes / (vocab_ * static_cast<int64_t>(sizeof(float))), 1, chunk_);
        for (int64_t first = 0; first < count; first += slice) {
          const int64_t rows = std::min(slice, count - first);
          show(first, run(ids.subspan(static_cast<size_t>(first), static_cast<size_t>(rows)), position_ + first, rows));
        }
      } else if (signature_.last_row_only) {
        for (int64_t i = 0; i < count; ++i) show(i, run_sequence(ids.first(static_cast<size_t>(i + 1)), 1));
      } else {
        show(0, run_sequence(ids, count));
      }
    });
    append(ids);
  }

  void set_images(std::shared_ptr<const engine::SequenceImages> images) override {
    if (images_) return images_->set(std::move(images));
    if (images == nullptr || images->images().empty()) return;
    throw Error("this ONNX model sees no images", file_.string());
  }

  void truncate(int64_t positions) override {
    position_ = std::clamp<int64_t>(positions, 0, position_);
    if (cached()) {
      asked(file_, [&] { cache_.truncate(position_); });
    } else {
      sequence_.resize(static_cast<size_t>(position_));
    }
  }

  int64_t position() const override { return position_; }
  int64_t context() const override { return context_; }
  void set_probe(engine::Probe) override {}
  engine::MemoryUse memory() const override {
    return {facts_.weight_bytes + (images_ ? images_->weight_bytes() : 0), cache_.bytes(), 0};
  }
  engine::Compute compute() const override {
    return facts_.weight_types.contains(kFloat16) ? engine::Compute::fp16 : engine::Compute::fp32;
  }
  int threads() const override { return threads_; }

 private:
  bool cached() const { return !signature_.caches.empty(); }

  template <typename Work>
  void whole_or_nothing(const Work& work) {
    try {
      asked(file_, work);
    } catch (...) {
      cache_.truncate(position_);
      throw;
    }
  }

  void append(std::span<const int64_t> ids) {
    if (!cached()) sequence_.insert(sequence_.end(), ids.begin(), ids.end());
    position_ += static_cast<int64_t>(ids.size());
  }

  // All of the sequence and ids after it, without a cache.
  std::span<const float> run_sequence(std::span<const int64_t> ids, int64_t rows) {
    std::vector<int64_t> all = sequence_;
    all.insert(all.end(), ids.begin(), ids.end());
    return run(all, 0, rows);
  }

  // One pass over ids, `past` positions before them: the logits [rows, vocab] of the last of them.
  std::span<const float> run(std::span<const int64_t> ids, int64_t past, int64_t rows) {
    const auto tokens = static_cast<int64_t>(ids.size());
    int64_t total = past + tokens;
    if (static_cast<int64_t>(ones_.size()) < total) {
      ones_.resize(static_cast<size_t>(total), 1);
      positions_.resize(ones_.size());
      std::iota(positions_.begin(), positions_.end(), 0);
    }
    const auto bind = [&](const std::string& name, const int64_t* data, int64_t count) {
      const int64_t dims[] = {1, count};
      // ONNX Runtime reads inputs only; its interface knows no const.
      binding_.BindInput(name.c_str(), Ort::Value::CreateTensor(memory_, const_cast<int64_t*>(data), ids_bytes(count),
                                                                dims, 2, ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64));
    };
    if (images_) {
      images_->bind(binding_, ids, past);
    } else {
      bind(names_.input_ids, ids.data(), tokens);
    }
    if (signature_.attention_mask) bind(names_.attention_mask, ones_.data(), total);
    if (signature_.position_ids) bind(names_.position_ids, positions_.data() + past, tokens);
    if (signature_.rows_to_keep) {
      binding_.BindInput(kRowsToKeep, Ort::Value::CreateTensor(memory_, &rows, ids_bytes(1), nullptr, 0,
                                                               ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64));
    }
    binding_.BindOutput(names_.logits.c_str(), memory_);
    cache_.bind(binding_, memory_);
    session_.Run(Ort::RunOptions{nullptr}, binding_);
    std::vector<Ort::Value> outputs = binding_.GetOutputValues();
    cache_.take(outputs, 1, total);
    logits_ = std::move(outputs[0]);
    return last_rows(rows, signature_.rows_to_keep ? rows : signature_.last_row_only ? 1 : tokens);
  }

  static size_t ids_bytes(int64_t count) { return static_cast<size_t>(count) * sizeof(int64_t); }

  // The last `rows` of logits_, which has `expected`.
  std::span<const float> last_rows(int64_t rows, int64_t expected) {
    const auto info = logits_.GetTensorTypeAndShapeInfo();
    const bool f16 = info.GetElementType() == ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16;
    if (info.GetShape() != std::vector<int64_t>{1, expected, vocab_} || f16 != signature_.f16_logits) {
      throw Error(fmt::format("the graph returned logits of another shape than [1, {}, {}]", expected, vocab_));
    }
    const auto count = static_cast<size_t>(rows * vocab_), skipped = static_cast<size_t>((expected - rows) * vocab_);
    if (!f16) return {logits_.GetTensorData<float>() + skipped, count};
    const auto* halves = static_cast<const uint16_t*>(logits_.GetTensorRawData()) + skipped;
    floats_.resize(count);
    std::transform(halves, halves + count, floats_.begin(), f16_to_float);
    return floats_;
  }

  static void check_finite(std::span<const float> logits) {
    if (std::all_of(logits.begin(), logits.end(), [](float value) { return std::isfinite(value); })) return;
    throw Error("the logits are not finite", "",
                "a weight is not, or float16 overflows: export again from a sound checkpoint, with --precision fp32");
  }

  std::filesystem::path file_;
  Names names_;
  onnx::ModelFacts facts_;
  int64_t vocab_, context_, chunk_;
  int threads_;
  Ort::MemoryInfo memory_ = Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault);
  Ort::Session session_;
  Signature signature_;
  Cache cache_;
  Ort::IoBinding binding_;
  std::optional<ImageInputs> images_;
  Ort::Value logits_{nullptr};
  std::vector<float> floats_;              // logits_ if they are float16
  std::vector<int64_t> ones_, positions_;  // the mask; 0, 1, 2, ...
  std::vector<int64_t> sequence_;          // without a cache
  int64_t position_ = 0;
};

}  // namespace

std::unique_ptr<engine::Engine> make_session(const ModelFolder& folder, const Options& options) {
  DUAN_CHECK(options.context > 0, "a context of {}", options.context);
  load_library();
  const onnx::VerifiedModel model = onnx::verify_file(folder.file);
  return asked(folder.file, [&] { return std::make_unique<Session>(folder, model, options); });
}

}  // namespace duan::ort
