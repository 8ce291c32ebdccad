#include "checkpoint/writer.h"

#include "base/atomic_file.h"
#include "base/error.h"
#include "base/json.h"
#include "checkpoint/safetensors.h"

namespace duan::checkpoint {
namespace {

std::string quoted(const std::string& text) { return to_text(Json(text)); }

size_t bytes_of(const TensorSpec& tensor, const std::string& where) {
  const std::optional<int64_t> elements = element_count(tensor.shape);
  int64_t bytes = 0;
  if (!elements || __builtin_mul_overflow(*elements, static_cast<int64_t>(dtype_size(tensor.dtype)), &bytes)) {
    throw Error(
        fmt::format("tensor \"{}\": shape {} has too many elements", printable(tensor.name), to_string(tensor.shape)),
        where);
  }
  return static_cast<size_t>(bytes);
}

// The 8 length bytes and the JSON, padded with spaces so that the data begin at a multiple of 8.
std::string header_of(const std::vector<TensorSpec>& tensors,
                      const std::vector<std::pair<std::string, std::string>>& metadata, size_t& data_bytes,
                      const std::string& where) {
  std::string json = "{";
  if (!metadata.empty()) {
    json += "\"__metadata__\":{";
    for (const auto& [key, value] : metadata) json += quoted(key) + ":" + quoted(value) + ",";
    json.back() = '}';
    json += ',';
  }
  data_bytes = 0;
  for (const TensorSpec& tensor : tensors) {
    size_t end = 0;
    if (__builtin_add_overflow(data_bytes, bytes_of(tensor, where), &end))
      throw Error("the tensors are too large together", where);
    std::string shape = to_string(tensor.shape);
    std::erase(shape, ' ');
    json += fmt::format("{}:{{\"dtype\":\"{}\",\"shape\":{},\"data_offsets\":[{},{}]}},", quoted(tensor.name),
                        dtype_name(tensor.dtype), shape, data_bytes, end);
    data_bytes = end;
  }
  if (json.back() == ',') json.pop_back();
  json += '}';
  json.append((8 - json.size() % 8) % 8, ' ');

  std::string header;
  for (size_t i = 0; i < 8; ++i) header += static_cast<char>(static_cast<uint64_t>(json.size()) >> (8 * i) & 0xFF);
  return header + json;
}

}  // namespace

void write_safetensors(const std::filesystem::path& path, const std::vector<TensorSpec>& tensors,
                       const TensorSource& source, const std::vector<std::pair<std::string, std::string>>& metadata) {
  const std::string where = path.string();
  size_t data_bytes = 0;
  const std::string header = header_of(tensors, metadata, data_bytes, where);
  uint64_t file_bytes = 0;
  if (__builtin_add_overflow(data_bytes, header.size(), &file_bytes))
    throw Error("the tensors are too large together", where);
  // Nobody should be handed a file that this project would refuse.
  parse_safetensors_header(std::as_bytes(std::span(header)), file_bytes, where);

  AtomicFile file(path, file_bytes);
  file.write(header);
  for (size_t i = 0; i < tensors.size(); ++i) {
    const uint64_t begin = file.written();
    source(i, [&](std::span<const std::byte> bytes) { file.write(bytes); });
    const size_t expected = bytes_of(tensors[i], where);
    DUAN_CHECK(file.written() - begin == expected, "tensor {}: {} bytes were given, expected {}", tensors[i].name,
               file.written() - begin, expected);
  }
  file.commit();
}

}  // namespace duan::checkpoint
