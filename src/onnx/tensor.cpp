#include "onnx/tensor.h"

#include <charconv>

#include "base/error.h"
#include "base/utf8.h"
#include "onnx/wire.h"

namespace duan::onnx {
namespace {

constexpr int64_t kMaxElements = int64_t{1} << 44;
enum : uint32_t {
  kDims = 1,
  kDataType = 2,
  kFloatData = 4,
  kInt32Data = 5,
  kInt64Data = 7,
  kName = 8,
  kRawData = 9,
  kDoubleData = 10,
  kUint64Data = 11,
  kDocString = 12,
  kExternalData = 13,
  kDataLocation = 14,
  kMetadata = 16,
};
constexpr FieldRule kTensorFields[] = {
    {kDims, "dims", Wire::varint, true},
    {kDataType, "data_type", Wire::varint},
    {kFloatData, "float_data", Wire::fixed32, true},
    {kInt32Data, "int32_data", Wire::varint, true},
    {kInt64Data, "int64_data", Wire::varint, true},
    {kName, "name", Wire::bytes},
    {kRawData, "raw_data", Wire::bytes},
    {kDoubleData, "double_data", Wire::fixed64, true},
    {kUint64Data, "uint64_data", Wire::varint, true},
    {kDocString, "doc_string", Wire::bytes},
    {kExternalData, "external_data", Wire::bytes, true},
    {kDataLocation, "data_location", Wire::varint},
    {kMetadata, "metadata_props", Wire::bytes, true},
};
constexpr FieldRule kEntryFields[] = {{1, "key", Wire::bytes}, {2, "value", Wire::bytes}};

struct ElementType {
  int bits;
  uint32_t field;  // that holds them where raw_data does not
};

// By TensorProto.DataType; bits 0: not allowed.
constexpr ElementType kElements[] = {
    {0, 0},             // undefined
    {32, kFloatData},   // float
    {8, kInt32Data},    // uint8
    {8, kInt32Data},    // int8
    {16, kInt32Data},   // uint16
    {16, kInt32Data},   // int16
    {32, kInt32Data},   // int32
    {64, kInt64Data},   // int64
    {0, 0},             // string
    {8, kInt32Data},    // bool
    {16, kInt32Data},   // float16
    {64, kDoubleData},  // double
    {32, kUint64Data},  // uint32
    {64, kUint64Data},  // uint64
    {0, 0},             // complex64
    {0, 0},             // complex128
    {16, kInt32Data},   // bfloat16
    {8, kInt32Data},    // float8e4m3fn
    {8, kInt32Data},    // float8e4m3fnuz
    {8, kInt32Data},    // float8e5m2
    {8, kInt32Data},    // float8e5m2fnuz
    {4, kInt32Data},    // uint4
    {4, kInt32Data},    // int4
    {4, kInt32Data},    // float4e2m1
    {8, kInt32Data},    // float8e8m0
    {2, kInt32Data},    // uint2
    {2, kInt32Data},    // int2
};

int64_t parse_size(std::string_view text, const char* key) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 0) {
    throw Error(fmt::format("its {} is \"{}\", expected a number of bytes", key, printable(text, 40)));
  }
  return value;
}

// Where external_data says the bytes are.
class Place {
 public:
  void add(std::string_view message) {
    std::string_view key, value;
    read_entry(message, key, value);
    if (key == "location") {
      set(location_, value, "location");
    } else if (key == "offset") {
      set(offset_, parse_size(value, "offset"), "offset");
    } else if (key == "length") {
      set(length_, parse_size(value, "length"), "length");
    } else if (key != "checksum") {  // of which nobody says what it covers; the bytes are checked by their numbers
      throw Error("its external_data has the unknown key \"" + printable(key, 40) + "\"");
    }
    used_ = true;
  }
  bool used() const { return used_; }

  void check(int64_t bytes, const ExternalBytes& external) const {
    if (!location_) throw Error("its data lie elsewhere, but it has no location");
    if (length_.value_or(bytes) != bytes) {
      throw Error(fmt::format("its length is {} bytes, its dimensions need {}", *length_, bytes));
    }
    const int64_t offset = offset_.value_or(0), file = external(*location_);
    if (offset > file || bytes > file - offset) {
      throw Error(fmt::format("its {} bytes at {} do not lie within the {} bytes of {}", bytes, offset, file,
                              printable(*location_)));
    }
  }

 private:
  template <typename T>
  static void set(std::optional<T>& to, T value, const char* key) {
    if (to) throw Error(fmt::format("its external_data has the key {} twice", key));
    to = value;
  }

  std::optional<std::string_view> location_;
  std::optional<int64_t> offset_, length_;
  bool used_ = false;
};

void add_dims(const Field& field, std::vector<int64_t>& dims) {
  const auto add = [&](uint64_t value) {
    const int64_t dim = as_int64(value);
    if (dim < 0) throw Error(fmt::format("has the dimension {}", dim));
    if (dims.size() == kMaxDims) throw Error(fmt::format("has more than {} dimensions", kMaxDims));
    dims.push_back(dim);
  };
  if (field.wire != Wire::bytes) return add(field.value);
  for (std::string_view rest = field.bytes; !rest.empty();) add(take_varint(rest));
}

// Throws Error if there are more than kMaxElements, also beside a zero.
int64_t count_elements(const std::vector<int64_t>& dims) {
  int64_t product = 1;
  bool empty = false;
  for (const int64_t dim : dims) {
    empty = empty || dim == 0;
    if (dim > 0 && product > kMaxElements / dim) throw Error("has too many elements");
    if (dim > 0) product *= dim;
  }
  return empty ? 0 : product;
}

}  // namespace

int64_t TensorFacts::elements() const { return count_elements(dims); }

std::optional<int> element_bits(int64_t data_type) {
  if (data_type < 0 || data_type >= static_cast<int64_t>(std::size(kElements))) return std::nullopt;
  const int bits = kElements[data_type].bits;
  return bits > 0 ? std::optional(bits) : std::nullopt;
}

void check_name(std::string_view name) {
  if (name.size() > kMaxNameBytes) {
    throw Error(fmt::format("a name has {} bytes, at most {} are allowed", name.size(), kMaxNameBytes));
  }
  if (name.find('\0') != name.npos || !utf8::is_valid(name)) {
    throw Error("the name \"" + printable(name, 60) + "\" is not text");
  }
}

void read_entry(std::string_view message, std::string_view& key, std::string_view& value) {
  WireReader reader(message, kEntryFields);
  for (Field field; reader.next(field);) (field.rule->number == 1 ? key : value) = field.bytes;
}

namespace {

void read_tensor(std::string_view message, const ExternalBytes& external, TensorFacts& tensor) {
  Place place;
  std::optional<int64_t> raw_bytes;
  uint32_t typed_field = 0;
  int64_t typed_count = 0;
  int32_t location = 0;
  WireReader reader(message, kTensorFields);
  for (Field field; reader.next(field);) {
    switch (field.rule->number) {
      case kDims:
        add_dims(field, tensor.dims);
        break;
      case kDataType:
        tensor.data_type = as_int32(field);
        break;
      case kName:
        check_name(tensor.name = field.bytes);
        break;
      case kRawData:
        raw_bytes = static_cast<int64_t>(field.bytes.size());
        break;
      case kExternalData:
        place.add(field.bytes);
        break;
      case kDataLocation:
        location = as_int32(field);
        break;
      case kMetadata: {
        std::string_view key, value;
        read_entry(field.bytes, key, value);
        break;
      }
      case kDocString:
        break;
      default:
        if (typed_field != 0 && typed_field != field.rule->number) throw Error("holds data of two types");
        typed_field = field.rule->number;
        typed_count += count_numbers(field);
    }
  }
  const auto bits = element_bits(tensor.data_type);
  if (!bits) throw Error(fmt::format("is of the type {}, which is unknown or not supported", tensor.data_type));
  const int64_t elements = count_elements(tensor.dims);
  tensor.bytes = (elements * *bits + 7) / 8;
  if (location != 0 && location != 1) throw Error(fmt::format("its data_location is {}", location));
  tensor.external = location == 1;
  if (tensor.external) {
    if (raw_bytes || typed_field != 0) throw Error("holds data and says that they lie elsewhere");
    if (!external) throw Error("lies in another file, which only weights of the graph may");
    place.check(tensor.bytes, external);
    return;
  }
  if (place.used()) throw Error("has external_data, but its data_location does not say so");
  if (raw_bytes && typed_field != 0) throw Error("holds raw_data and typed data");
  if (raw_bytes) {
    if (*raw_bytes != tensor.bytes) {
      throw Error(fmt::format("holds {} bytes, its dimensions need {}", *raw_bytes, tensor.bytes));
    }
    return;
  }
  // Elements of less than a byte share numbers as they share bytes.
  const int64_t numbers = *bits < 8 ? tensor.bytes : elements;
  if (typed_count != numbers || (numbers > 0 && typed_field != kElements[tensor.data_type].field)) {
    throw Error(fmt::format("holds {} numbers of its type, its dimensions need {}",
                            typed_field == kElements[tensor.data_type].field ? typed_count : 0, numbers));
  }
}

}  // namespace

TensorFacts check_tensor(std::string_view message, const ExternalBytes& external) {
  TensorFacts tensor;
  try {
    read_tensor(message, external, tensor);
  } catch (const Error& e) {
    throw Error("the tensor \"" + printable(tensor.name) + "\": " + e.message(), e.where(), e.hint());
  }
  return tensor;
}

}  // namespace duan::onnx
