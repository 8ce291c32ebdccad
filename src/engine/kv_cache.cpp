#include "engine/kv_cache.h"

#include <optional>

#include "base/error.h"

namespace duan::engine {
namespace {

constexpr int64_t kTile = 16;  // positions per tile of keys

struct Extent {
  int32_t cache;
  int64_t kv_heads, head_dim;
};

// Of attentions without a cache, one after the other through the same place, only the first.
std::vector<Extent> attentions(const ir::Graph& graph) {
  std::vector<Extent> found;
  std::optional<Extent> shared;
  for (const ir::Node& node : graph.nodes) {
    const auto* attention = std::get_if<ir::Attention>(&node.op);
    if (attention == nullptr) continue;
    const ir::Dims& k = graph.value(node.inputs[1]).type.dims;
    const Extent extent{attention->cache, k[2].extent, k[3].extent};
    if (attention->cache == ir::kNoCache) {
      if (!shared) found.push_back(extent);
      if (!shared) shared = extent;
      DUAN_CHECK(shared->kv_heads == extent.kv_heads && shared->head_dim == extent.head_dim,
                 "{} has other heads than the attentions before", node.name);
      continue;
    }
    found.push_back(extent);
  }
  return found;
}

// Their places: that of no cache comes first.
size_t place(int32_t cache) { return static_cast<size_t>(cache + 1); }

int64_t round_up(int64_t n, int64_t multiple) { return (n + multiple - 1) / multiple * multiple; }

}  // namespace

int64_t KvCache::bytes_for(const ir::Graph& graph, int64_t context, DType dtype) {
  int64_t per_position = 0;
  for (const Extent& extent : attentions(graph)) {
    per_position += 2 * extent.kv_heads * extent.head_dim * static_cast<int64_t>(dtype_size(dtype));
  }
  int64_t total = 0;
  if (context > (int64_t{1} << 40) || __builtin_mul_overflow(per_position, round_up(context, kTile), &total)) {
    throw Error(fmt::format("a context of {} positions is too large", context), "--ctx-size");
  }
  return total;
}

KvCache::KvCache(const ir::Graph& graph, int64_t context, DType dtype)
    : capacity_(round_up(context, kTile)), dtype_(dtype) {
  const int64_t total = bytes_for(graph, context, dtype);
  if (total > physical_memory()) {
    throw Error(fmt::format("the KV cache of {} positions needs {:.1f} GB, this machine has {:.1f} GB", context,
                            static_cast<double>(total) * 1e-9, static_cast<double>(physical_memory()) * 1e-9),
                "--ctx-size", "choose a shorter context with -c");
  }
  int64_t offset = 0;
  for (const Extent& extent : attentions(graph)) {
    if (place(extent.cache) >= layers_.size()) layers_.resize(place(extent.cache) + 1);
    layers_[place(extent.cache)] = {extent.kv_heads, extent.head_dim, offset};
    offset += 2 * extent.kv_heads * extent.head_dim * capacity_ * static_cast<int64_t>(dtype_size(dtype));
  }
  memory_ = ZeroedMemory(static_cast<size_t>(total));
}

kernels::KvView KvCache::view(int32_t cache, int64_t kv_head) const {
  const Layer& layer = layers_[place(cache)];
  const int64_t plane = layer.head_dim * capacity_ * static_cast<int64_t>(dtype_size(dtype_));
  std::byte* base = memory_.data() + layer.offset + kv_head * 2 * plane;
  return {.dtype = dtype_, .keys = base, .values = base + plane, .capacity = capacity_, .head_dim = layer.head_dim};
}

}  // namespace duan::engine
