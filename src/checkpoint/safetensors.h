// One safetensors file: 8 bytes little-endian header length, a JSON header, the tensors' bytes. Read strictly: what two
// readers could understand differently is an Error (overlap, hole, trailing bytes, duplicate names, unknown fields).
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/mapped_file.h"
#include "tensor/dtype.h"
#include "tensor/shape.h"

namespace duan::checkpoint {

inline constexpr uint64_t kMaxHeaderBytes = 100'000'000;
inline constexpr size_t kMaxDims = 8;
inline constexpr size_t kMaxNameBytes = 512;

struct TensorEntry {
  std::string name;
  DType dtype;
  Shape shape;
  size_t begin, end;  // bytes, relative to the data section; end - begin == elements * dtype_size
};

// Positions in a vector of entries ordered by a hash of the name, for lookups that no choice of names makes quadratic.
class NameIndex {
 public:
  NameIndex() = default;
  NameIndex(const std::vector<TensorEntry>& entries, const std::string& where);  // throws Error on a duplicate name
  std::optional<size_t> find(const std::vector<TensorEntry>& entries, std::string_view name) const;

 private:
  struct Slot {
    uint64_t hash;
    uint32_t entry;
  };
  std::vector<Slot> slots_;
};

struct SafetensorsHeader {
  std::vector<TensorEntry> entries;  // in the order of their data; names are unique
  NameIndex index;
  std::vector<std::pair<std::string, std::string>> metadata;  // "__metadata__", in file order
  size_t data_begin = 0;                                      // where the data section begins in the file
};

// A pure function over the first bytes of a file. `file_start` holds at least the header, `file_size` is the whole
// file's; no byte behind the header is read. Throws Error naming the tensor where there is one.
SafetensorsHeader parse_safetensors_header(std::span<const std::byte> file_start, uint64_t file_size,
                                           const std::string& where);

struct TensorView {
  DType dtype;
  Shape shape;
  const std::byte* data;  // at any alignment
  size_t bytes;
};

// A mapped file with its header parsed. Views live as long as the object.
class SafetensorsFile {
 public:
  explicit SafetensorsFile(const std::filesystem::path& path);

  const std::filesystem::path& path() const { return path_; }
  const std::vector<TensorEntry>& entries() const { return header_.entries; }
  const std::vector<std::pair<std::string, std::string>>& metadata() const { return header_.metadata; }
  size_t data_bytes() const { return file_.bytes().size() - header_.data_begin; }

  const TensorEntry* entry(std::string_view name) const;
  std::optional<TensorView> find(std::string_view name) const;
  TensorView view(const TensorEntry& entry) const;                                     // of an entry of this file
  bool release(std::span<const std::byte> part) const { return file_.release(part); }  // see MappedFile

 private:
  std::filesystem::path path_;
  MappedFile file_;
  SafetensorsHeader header_;
};

}  // namespace duan::checkpoint
