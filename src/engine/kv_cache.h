// The keys and values of a sequence, for every attention layer of a graph.
#pragma once

#include <vector>

#include "engine/memory.h"
#include "ir/graph.h"
#include "kernels/attention.h"

namespace duan::engine {

class KvCache {
 public:
  // Room for `context` positions in every Attention of the graph; those without a cache share one place. Memory is
  // taken from the system as positions are written. Throws Error if it cannot exist in this machine's memory.
  KvCache(const ir::Graph& graph, int64_t context, DType dtype);

  kernels::KvView view(int32_t cache, int64_t kv_head) const;  // cache: of an Attention, ir::kNoCache included
  int64_t bytes() const { return static_cast<int64_t>(memory_.bytes()); }

  // Bytes of a cache of `context` positions.
  static int64_t bytes_for(const ir::Graph& graph, int64_t context, DType dtype);

 private:
  struct Layer {
    int64_t kv_heads = 0, head_dim = 0, offset = 0;
  };
  std::vector<Layer> layers_;
  int64_t capacity_;
  DType dtype_;
  ZeroedMemory memory_;
};

}  // namespace duan::engine
