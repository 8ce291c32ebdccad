#include "quant/token_id_file.h"

#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "checkpoint/safetensors.h"

namespace duan::quant {
namespace {

constexpr const char *kIds = "input_ids", *kMask = "attention_mask";
constexpr const char* kHint = "the file holds \"input_ids\" [n, length] or [length], and maybe \"attention_mask\"";

std::string place(const std::filesystem::path& file, const char* tensor) {
  return fmt::format("{}: \"{}\"", file.string(), tensor);
}

checkpoint::TensorView checked(const checkpoint::SafetensorsFile& file, const char* name) {
  const auto view = file.find(name);
  const std::string where = place(file.path(), name);
  if (!view) throw Error("is missing", where, kHint);
  if (view->dtype != DType::i32 && view->dtype != DType::i64) {
    throw Error(fmt::format("has the type {}, expected I32 or I64", dtype_name(view->dtype)), where);
  }
  if (view->shape.empty() || view->shape.size() > 2) {
    throw Error(fmt::format("has {} dimensions, expected 1 or 2", view->shape.size()), where, kHint);
  }
  return *view;
}

int64_t number_at(const checkpoint::TensorView& view, int64_t index) {
  const auto bytes = static_cast<size_t>(index) * dtype_size(view.dtype);
  if (view.dtype == DType::i32) {
    int32_t number = 0;
    std::memcpy(&number, view.data + bytes, sizeof number);
    return number;
  }
  int64_t number = 0;
  std::memcpy(&number, view.data + bytes, sizeof number);
  return number;
}

}  // namespace

TokenIdFile read_token_ids(const std::filesystem::path& path, int64_t vocab) {
  const checkpoint::SafetensorsFile file(path);
  for (const checkpoint::TensorEntry& entry : file.entries()) {
    if (entry.name == kIds || entry.name == kMask) continue;
    throw Error(fmt::format("holds a tensor \"{}\"", printable(entry.name, 60)), path.string(), kHint);
  }
  const checkpoint::TensorView ids = checked(file, kIds);
  std::optional<checkpoint::TensorView> mask;
  if (file.entry(kMask) != nullptr) {
    mask = checked(file, kMask);
    if (mask->shape != ids.shape) throw Error("has another shape than \"input_ids\"", place(path, kMask));
  }
  TokenIdFile result;
  result.flat = ids.shape.size() == 1;
  const int64_t length = ids.shape.back(), rows = result.flat ? 1 : ids.shape[0];
  // A small file may state any number of them.
  if (length == 0) throw Error("has rows of no ids", place(path, kIds));
  for (int64_t r = 0; r < rows; ++r) {
    std::vector<int64_t>& row = result.rows.emplace_back();
    bool ended = false;  // padding came after an id
    for (int64_t c = 0; c < length; ++c) {
      const auto at = [&] { return result.flat ? fmt::format("[{}]", c) : fmt::format("[{}, {}]", r, c); };
      const int64_t counts = mask ? number_at(*mask, r * length + c) : 1;
      if (counts != 0 && counts != 1) {
        throw Error(fmt::format("is {} at {}, expected 0 or 1", counts, at()), place(path, kMask));
      }
      if (counts == 0) {
        ended = !row.empty();
        continue;
      }
      if (ended) throw Error(fmt::format("has padding between ids, before {}", at()), place(path, kMask));
      const int64_t id = number_at(ids, r * length + c);
      if (id < 0 || id >= vocab) {
        throw Error(fmt::format("is {} at {}, not a token id in [0, {})", id, at(), vocab), place(path, kIds));
      }
      row.push_back(id);
    }
  }
  return result;
}

}  // namespace duan::quant
