// Any bytes: an Error, or a header whose invariants hold. Half of the inputs are taken as the header alone, with a
// matching length put before them and the file size set to fit, because a random length is almost always refused.
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "base/error.h"
#include "checkpoint/safetensors.h"

using namespace duan;
using namespace duan::checkpoint;

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

void check(const SafetensorsHeader& header, uint64_t file_size) {
  size_t covered = 0;
  for (const TensorEntry& e : header.entries) {
    require(e.begin == covered && e.end >= e.begin);
    covered = e.end;
    require(!e.name.empty() && e.name.size() <= kMaxNameBytes && e.shape.size() <= kMaxDims);
    const auto elements = element_count(e.shape);
    require(elements && static_cast<size_t>(*elements) * dtype_size(e.dtype) == e.end - e.begin);
    const auto found = header.index.find(header.entries, e.name);
    require(found && &header.entries[*found] == &e);
  }
  require(header.data_begin + covered == file_size);
}

void parse(std::span<const std::byte> bytes, uint64_t file_size) {
  try {
    check(parse_safetensors_header(bytes, file_size, "fuzz"), file_size);
  } catch (const Error& e) {
    require(std::strchr(e.what(), '\n') == nullptr && std::strlen(e.what()) < 2000);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto bytes = std::as_bytes(std::span(data, size));
  parse(bytes, size);
  if (size < 2) return 0;

  // The first two bytes give the size of the data section, the rest is the header.
  const uint64_t data_bytes = data[0] | static_cast<uint64_t>(data[1]) << 8;
  const uint64_t length = size - 2;
  std::vector<std::byte> file(8 + length);
  for (size_t i = 0; i < 8; ++i) file[i] = static_cast<std::byte>(length >> (8 * i) & 0xFF);
  std::memcpy(file.data() + 8, data + 2, length);
  parse(file, file.size() + data_bytes);
  return 0;
}
