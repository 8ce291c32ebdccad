// What a PNG says beside its pixels, read without libpng, so that nothing is unpacked that is not needed.
#pragma once

#include "vision/formats.h"

namespace duan::vision {

struct PngChunks {
  Size size;
  std::string exif, xmp;  // empty: none
};

// Walks over all chunks. `source` begins with PNG's signature. Throws Error for an IHDR that is broken or beyond the
// limits; what is broken behind it is left to the decoder. The checksums are not checked.
PngChunks read_png_chunks(const Source& source);

}  // namespace duan::vision
