// The JSON of a safetensors header, parsed without building a document: a header of 100 MB has millions of entries.
// The grammar is fixed, so depth is bounded and anything not foreseen is an Error.
#pragma once

#include <string>
#include <string_view>

#include "checkpoint/safetensors.h"

namespace duan::checkpoint {

// Fills entries (in the order of the text, offsets not yet compared with each other or the file) and metadata.
// Checks of each entry alone: fields, dtype, shape, name, end - begin == bytes of the shape.
void parse_header_json(std::string_view text, const std::string& where, SafetensorsHeader& header);

}  // namespace duan::checkpoint
