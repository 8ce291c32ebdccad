// Which way up a picture is: the Orientation of EXIF and XMP data, and turning by it.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string_view>

#include "vision/image.h"

namespace duan::vision {

// The value of tag 0x0112 in the first directory of a TIFF block (with or without "Exif\0\0" before it). Nothing if it
// is absent or the block is broken before it. Any integer: only 2..8 have a meaning other than "as stored".
std::optional<int64_t> exif_orientation(std::span<const std::byte> exif);

// The digit after the first tiff:Orientation=" or tiff:Orientation>.
std::optional<int64_t> xmp_orientation(std::string_view xmp);

// 1..8. XMP is asked only if EXIF does not say; what is not 2..8 is 1.
int orientation_of(std::span<const std::byte> exif, std::string_view xmp);

// The picture as it is to be seen. `orientation` is 1..8.
Image turned(Image image, int orientation);

}  // namespace duan::vision
