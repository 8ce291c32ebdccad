// The KV cache of a session: values of ONNX Runtime that one pass leaves and the next one reads.
#pragma once

#include <onnxruntime_cxx_api.h>

#include <cstdint>
#include <vector>

#include "engine/memory.h"
#include "ort/signature.h"

namespace duan::ort {

class Cache {
 public:
  // Throws Error if all of `context` positions are more than the machine's memory.
  Cache(const std::vector<CacheTensor>& tensors, int64_t context);

  // Binds past and present of every tensor for one pass, after what the caller bound before.
  void bind(Ort::IoBinding& binding, const Ort::MemoryInfo& memory);

  // What the pass made of them: `outputs` in the order of binding, from `first` on, holding `positions` now.
  // Throws Error if the graph returned something else.
  void take(std::vector<Ort::Value>& outputs, size_t first, int64_t positions);

  // Keeps the first `positions`, of as many at least. Copies what is kept where the graph makes new values; a buffer
  // updated in place just gets written over later.
  void truncate(int64_t positions);

  int64_t bytes() const { return bytes_; }  // of all the context's positions

 private:
  struct Slot {
    CacheTensor tensor;
    engine::ZeroedMemory memory;  // if updated in place
    Ort::Value value{nullptr};
  };

  std::vector<int64_t> shape(const Slot& slot, int64_t positions) const;
  Ort::Value make(const Slot& slot, int64_t positions) const;

  std::vector<Slot> slots_;
  int64_t bytes_ = 0, positions_ = 0;
};

}  // namespace duan::ort
