#include "checkpoint/safetensors.h"

#include <algorithm>
#include <functional>
#include <limits>
#include <tuple>

#include "base/error.h"
#include "checkpoint/header_parser.h"

namespace duan::checkpoint {
namespace {

// Entries, in the order of their offsets, must cover the data section exactly: no hole, no overlap, nothing behind.
void check_coverage(const std::vector<TensorEntry>& entries, uint64_t data_bytes, const std::string& where) {
  uint64_t covered = 0;
  for (const TensorEntry& e : entries) {
    if (e.begin != covered) {
      throw Error(
          fmt::format("tensor \"{}\" begins at data byte {}, expected {}: {}", printable(e.name), e.begin, covered,
                      e.begin < covered ? "its data overlap another tensor's" : "there is a hole before it"),
          where);
    }
    covered = e.end;
    if (covered > data_bytes) {
      throw Error(fmt::format("tensor \"{}\" ends at data byte {}, but the file has {}: it is cut short",
                              printable(e.name), e.end, data_bytes),
                  where, "the file may be an incomplete download");
    }
  }
  if (covered != data_bytes) {
    throw Error(fmt::format("{} trailing bytes after the last tensor", data_bytes - covered), where);
  }
}

}  // namespace

SafetensorsHeader parse_safetensors_header(std::span<const std::byte> file_start, uint64_t file_size,
                                           const std::string& where) {
  if (file_size < 8 || file_start.size() < 8) {
    throw Error(
        fmt::format("{} bytes are too short for a safetensors file: 8 bytes of header length are missing", file_size),
        where);
  }
  uint64_t length = 0;
  for (size_t i = 8; i-- > 0;) length = length << 8 | std::to_integer<uint64_t>(file_start[i]);
  if (length > kMaxHeaderBytes) {
    throw Error(
        fmt::format("a header of {} bytes, at most {} are allowed: not a safetensors file?", length, kMaxHeaderBytes),
        where);
  }
  if (length > file_size - 8 || length > file_start.size() - 8) {
    throw Error(fmt::format("the header is cut short: {} bytes of header in a file of {}", length, file_size), where,
                "the file may be an incomplete download");
  }

  SafetensorsHeader header;
  header.data_begin = 8 + static_cast<size_t>(length);
  parse_header_json({reinterpret_cast<const char*>(file_start.data()) + 8, static_cast<size_t>(length)}, where, header);

  const auto by_offset = [](const TensorEntry& a, const TensorEntry& b) {
    return std::tie(a.begin, a.end) < std::tie(b.begin, b.end);
  };
  if (!std::is_sorted(header.entries.begin(), header.entries.end(), by_offset)) {
    std::sort(header.entries.begin(), header.entries.end(), by_offset);
  }
  header.index = NameIndex(header.entries, where);
  check_coverage(header.entries, file_size - header.data_begin, where);
  return header;
}

NameIndex::NameIndex(const std::vector<TensorEntry>& entries, const std::string& where) {
  DUAN_CHECK(entries.size() <= std::numeric_limits<uint32_t>::max(), "{} entries", entries.size());
  slots_.reserve(entries.size());
  for (size_t i = 0; i < entries.size(); ++i) {
    slots_.push_back({std::hash<std::string_view>()(entries[i].name), static_cast<uint32_t>(i)});
  }
  std::sort(slots_.begin(), slots_.end(), [&](const Slot& a, const Slot& b) {
    return a.hash != b.hash ? a.hash < b.hash : entries[a.entry].name < entries[b.entry].name;
  });
  const auto duplicate = std::adjacent_find(slots_.begin(), slots_.end(), [&](const Slot& a, const Slot& b) {
    return a.hash == b.hash && entries[a.entry].name == entries[b.entry].name;
  });
  if (duplicate != slots_.end()) {
    throw Error(fmt::format("duplicate tensor name \"{}\"", printable(entries[duplicate->entry].name)), where);
  }
}

std::optional<size_t> NameIndex::find(const std::vector<TensorEntry>& entries, std::string_view name) const {
  const uint64_t hash = std::hash<std::string_view>()(name);
  const auto found =
      std::lower_bound(slots_.begin(), slots_.end(), name, [&](const Slot& slot, std::string_view wanted) {
        return slot.hash != hash ? slot.hash < hash : entries[slot.entry].name < wanted;
      });
  if (found == slots_.end() || entries[found->entry].name != name) return std::nullopt;
  return found->entry;
}

SafetensorsFile::SafetensorsFile(const std::filesystem::path& path)
    : path_(path), file_(path), header_(parse_safetensors_header(file_.bytes(), file_.bytes().size(), path.string())) {}

const TensorEntry* SafetensorsFile::entry(std::string_view name) const {
  const std::optional<size_t> position = header_.index.find(header_.entries, name);
  return position ? &header_.entries[*position] : nullptr;
}

TensorView SafetensorsFile::view(const TensorEntry& entry) const {
  return {entry.dtype, entry.shape, file_.bytes().data() + header_.data_begin + entry.begin, entry.end - entry.begin};
}

std::optional<TensorView> SafetensorsFile::find(std::string_view name) const {
  const TensorEntry* found = entry(name);
  if (found == nullptr) return std::nullopt;
  return view(*found);
}

}  // namespace duan::checkpoint
