"""Writes tests/data/vision: small pictures of every kind, whole and hostile, and what the reference makes of them.

  pictures/*      the files, none of which is anybody's photo: all are computed here
  pictures.json   per file: width, height and crc32 of the RGB bytes as Pillow gives them, loaded as transformers' load_image
                  does; or the error that must name the cause
  resize.json     sizes, and the crc32 of computed pixels resized by torchvision
  sizes.json      sizes of videos by Qwen3VLVideoProcessor's smart_resize
  patches.json, frames.json  crc32 of the patches of computed pixels, by transformers' processors
  positions.json  crc32 of positions, table rows and weights of some grids, as transformers computes them
  others.json     with --reference: sizes and crc32 of the pictures in data/ocrsmall of that folder, decoded and resized

Needs pillow 13, numpy, torch, torchvision, transformers. Usage: make_image_goldens.py tests/data/vision [--reference FOLDER]
"""
import argparse
import io
import json
import pathlib
import struct
import zlib

import numpy as np
import torch
import torchvision.transforms.v2.functional as tvf
from PIL import Image, ImageOps, PngImagePlugin
from transformers.models.qwen2_vl.image_processing_qwen2_vl import Qwen2VLImageProcessor, smart_resize
from transformers.models.qwen3_vl.video_processing_qwen3_vl import Qwen3VLVideoProcessor, smart_resize as smart_resize_video
from transformers.vision_utils import get_vision_interpolation_indices_and_weights, get_vision_position_ids

SIGNATURE = b"\x89PNG\r\n\x1a\n"
cases = {}  # name: (bytes, None: as Pillow has it | Image to expect | str: cause of the error)


def add(name, data, expected=None):
    assert name not in cases, name
    cases[name] = (data, expected)


def pixels(mode, width=13, height=9):
    y, x = np.mgrid[0:height, 0:width]
    rgba = np.stack([x * 19 + y * 3, x * 5 + y * 27, (x * y * 3 + 40), 255 - x * 11], -1) % 256
    image = Image.fromarray(rgba.astype(np.uint8), "RGBA")
    if mode == "CMYK":
        return Image.fromarray(rgba.astype(np.uint8), "CMYK")
    if mode == "P":
        return image.convert("RGB").quantize(11)
    return image if mode == "RGBA" else image.convert("RGB").convert(mode)


def saved(image, format, **options):
    out = io.BytesIO()
    image.save(out, format, **options)
    return out.getvalue()


def orientation(value, key=0x112):
    exif = Image.Exif()
    exif[key] = value
    return exif


def crc32(image):
    return zlib.crc32(image.tobytes())


# PNG, chunk by chunk

def chunk(kind, data, crc=None):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data) if crc is None else crc)


def ihdr(width, height, bits, color, interlace=0):
    return chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, color, 0, 0, interlace))


def png(*chunks):
    return SIGNATURE + b"".join(chunks) + chunk(b"IEND", b"")


def rows(width, height, bits_per_pixel, filter_byte=0):
    size = (width * bits_per_pixel + 7) // 8
    return b"".join(bytes([filter_byte]) + bytes((y * 37 + i * 11 + y * i) % 256 for i in range(size)) for y in range(height))


def adam7(width, height, bits_per_pixel):
    data = b""
    for x0, y0, dx, dy in [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]:
        w, h = -(-(width - x0) // dx), -(-(height - y0) // dy)
        if w > 0 and h > 0:
            data += rows(w, h, bits_per_pixel)
    return data


CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
NAMES = {0: "grey", 2: "rgb", 3: "palette", 4: "grey_alpha", 6: "rgba"}
PALETTE = chunk(b"PLTE", bytes(i * 5 % 256 for i in range(48)))


def idat(data, level=9):
    return chunk(b"IDAT", zlib.compress(data, level))


def make_png():
    for color, bits in [(0, 1), (0, 2), (0, 4), (0, 8), (2, 8), (2, 16), (3, 1), (3, 2), (3, 4), (3, 8), (4, 8), (4, 16), (6, 8), (6, 16)]:
        palette = [PALETTE] if color == 3 and bits > 2 else [chunk(b"PLTE", bytes([200, 0, 0, 0, 200, 90, 1, 2, 3, 250, 251, 252])[:3 << bits])] if color == 3 else []
        depth = bits * CHANNELS[color]
        add(f"{NAMES[color]}{bits}.png", png(ihdr(11, 7, bits, color), *palette, idat(rows(11, 7, depth))))
        add(f"{NAMES[color]}{bits}_interlaced.png", png(ihdr(11, 7, bits, color, 1), *palette, idat(adam7(11, 7, depth))))
    ramp = np.arange(0, 700, 7, dtype=">u2").reshape(10, 10)  # Pillow cuts at 255
    add("grey16.png", png(ihdr(10, 10, 16, 0), idat(b"".join(b"\0" + row.tobytes() for row in ramp))))
    add("grey16_interlaced.png", png(ihdr(5, 9, 16, 0, 1), idat(adam7(5, 9, 16))))
    flat = [ihdr(6, 5, 8, 2), idat(rows(6, 5, 24))]
    plain = Image.open(io.BytesIO(png(*flat)))
    add("filters.png", png(ihdr(6, 5, 8, 2), idat(b"".join(bytes([y]) + bytes((y * 7 + i) % 256 for i in range(18)) for y in range(5)))))
    add("transparent_grey.png", png(ihdr(6, 5, 8, 0), chunk(b"tRNS", b"\0\x0b"), idat(rows(6, 5, 8))))
    add("transparent_rgb.png", png(ihdr(6, 5, 8, 2), chunk(b"tRNS", b"\0\0\0\x0b\0\x16"), flat[1]))
    add("transparent_palette.png", png(ihdr(6, 5, 4, 3), PALETTE, chunk(b"tRNS", bytes(range(0, 160, 10))), idat(rows(6, 5, 4))))
    add("all_transparent.png", saved(Image.fromarray(np.array([[[9, 8, 7, 0], [200, 100, 50, 0]]], np.uint8), "RGBA"), "PNG"))
    add("one_pixel.png", saved(pixels("RGB", 1, 1), "PNG"))
    add("ratio_200.png", saved(pixels("RGB", 1, 200), "PNG"))
    add("many_idat.png", png(flat[0], *[chunk(b"IDAT", bytes([b])) for b in zlib.compress(rows(6, 5, 24))]))
    add("empty_idat.png", png(flat[0], chunk(b"IDAT", b""), flat[1], chunk(b"IDAT", b"")))
    add("no_end.png", SIGNATURE + flat[0] + flat[1])
    add("text_behind_end.png", png(*flat) + b"trailing")
    add("animated.png", saved(pixels("RGB"), "PNG", save_all=True, append_images=[pixels("L").convert("RGB")]))
    add("profile.png", png(flat[0], chunk(b"iCCP", b"x\0\0" + zlib.compress(b"no profile" * 9)), flat[1]))
    for value in range(1, 9):
        add(f"exif{value}.png", saved(pixels("RGB"), "PNG", exif=orientation(value)))
    block = orientation(6).tobytes()[6:]
    add("exif_behind.png", png(*flat, chunk(b"eXIf", block)))
    add("exif_and_xmp.png", png(flat[0], chunk(b"eXIf", block), chunk(b"iTXt", b'XML:com.adobe.xmp\0\0\0\0\0tiff:Orientation="3"'), flat[1]))
    add("xmp.png", png(flat[0], chunk(b"iTXt", b'XML:com.adobe.xmp\0\0\0\0\0<x tiff:Orientation="8"/>'), flat[1]))
    add("xmp_packed.png", png(flat[0], chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(b"<tiff:Orientation>5<")), flat[1]))
    profile = b"\nexif\n%8d\n" % len(block) + orientation(7).tobytes().hex().encode()
    add("raw_profile.png", png(flat[0], chunk(b"tEXt", b"Raw profile type exif\0" + profile), flat[1]))
    add("raw_profile_packed.png", png(flat[0], chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(profile)), flat[1]))
    # Pillow refuses these for what stands beside the pixels; here that counts as absent.
    bomb = zlib.compress(b"a" * 9_000_000, 9)
    add("text_bomb.png", png(flat[0], chunk(b"zTXt", b"Comment\0\0" + bomb), flat[1]), plain)
    add("xmp_bomb.png", png(flat[0], chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + bomb), flat[1]), plain)
    add("profile_bomb.png", png(flat[0], chunk(b"iCCP", b"x\0\0" + bomb), flat[1]), plain)
    add("exif_garbage.png", png(flat[0], chunk(b"eXIf", b"no TIFF block"), flat[1]), plain)

    add("signature_only.png", SIGNATURE, "truncated")
    add("half_header.png", png(*flat)[:24], "truncated")
    add("header_only.png", SIGNATURE + flat[0], "truncated")
    add("half_pixels.png", png(*flat)[:60], "truncated")
    add("no_pixels.png", png(flat[0]), "broken PNG")
    add("no_header.png", png(flat[1]), "does not begin with its header")
    add("long_header.png", png(chunk(b"IHDR", struct.pack(">IIBBBBBB", 6, 5, 8, 2, 0, 0, 0, 0)), flat[1]), "does not begin with its header")
    add("second_header.png", png(flat[0], flat[0], flat[1]), "broken PNG")
    for width, height, cause in [(0, 5, "at least one"), (6, 0, "at least one"), (16385, 90, "a side may have"), (90, 16385, "a side may have"),
                                 (30000, 30000, "a side may have"), (16000, 11000, "176000000 in all"), (5657, 5657, "32001649 in all"),
                                 (1, 4000, "200:1"), (4000, 1, "200:1"), (1, 201, "200:1"), (2**31, 1, "a side may have"), (2**32 - 1, 2**32 - 1, "a side may have")]:
        add(f"size_{width}x{height}.png", png(ihdr(width, height, 8, 2), flat[1]), cause)
    for name, header in [("depth3", ihdr(6, 5, 3, 2)), ("depth1_rgb", ihdr(6, 5, 1, 2)), ("color5", ihdr(6, 5, 8, 5)), ("interlace7", ihdr(6, 5, 8, 2, 7)),
                         ("header_checksum", chunk(b"IHDR", struct.pack(">IIBBBBB", 6, 5, 8, 2, 0, 0, 0), 0))]:
        add(f"{name}.png", png(header, flat[1]), "broken PNG")
    add("pixel_checksum.png", png(flat[0], chunk(b"IDAT", zlib.compress(rows(6, 5, 24)), 1)), "broken PNG")
    add("text_checksum.png", png(flat[0], chunk(b"tEXt", b"a\0b", 1), flat[1]), "broken PNG")
    add("no_palette.png", png(ihdr(6, 5, 8, 3), idat(rows(6, 5, 8))), "broken PNG")
    add("palette_of_4_bytes.png", png(ihdr(6, 5, 8, 3), chunk(b"PLTE", b"abcd"), idat(rows(6, 5, 8))), "broken PNG")
    add("palette_of_300.png", png(ihdr(6, 5, 8, 3), chunk(b"PLTE", b"abc" * 300), idat(rows(6, 5, 8))), "broken PNG")
    add("unknown_critical.png", png(flat[0], chunk(b"CRIT", b""), flat[1]), "broken PNG")
    add("bad_name.png", png(flat[0], chunk(b"\0\1\2\3", b""), flat[1]), "broken PNG")
    for length in [0x7FFFFFFF, 0xFFFFFFFF, 1 << 20]:
        add(f"length_{length:x}.png", SIGNATURE + flat[0] + struct.pack(">I", length) + flat[1][4:], "PNG")
    add("pixels_not_packed.png", png(flat[0], chunk(b"IDAT", rows(6, 5, 24))), "broken PNG")
    add("pixels_cut.png", png(flat[0], chunk(b"IDAT", zlib.compress(rows(6, 5, 24))[:20])), "PNG")
    add("rows_missing.png", png(flat[0], idat(rows(6, 3, 24))), "broken PNG")
    add("filter9.png", png(flat[0], idat(rows(6, 5, 24, 9))), "broken PNG")


# JPEG

def segment(marker, data):
    return bytes([0xFF, marker]) + struct.pack(">H", len(data) + 2) + data


def segments(data):
    """[(marker, bytes)] up to the first scan, and what follows from there."""
    at, found = 2, []
    while data[at + 1] != 0xDA:
        end = at + 2 + struct.unpack(">H", data[at + 2:at + 4])[0]
        found.append((data[at + 1], data[at:end]))
        at = end
    return found, data[at:]


def scans(data):
    """What stands before the first scan, and each scan with the tables before it."""
    _, rest = segments(data)
    parts, start, at = [], 0, 2
    head = data[:len(data) - len(rest)]
    while at < len(rest) - 1:
        if rest[at] == 0xFF and rest[at + 1] == 0xDA:
            parts.append(rest[start:at])
            start = at
            at += 2
        at += 1
    return head, parts + [rest[start:-2]]


def make_jpeg():
    image = pixels("RGB", 21, 18)
    for name, options in [("444", dict(subsampling=0)), ("422", dict(subsampling=1)), ("420", dict(subsampling=2)), ("411", dict(subsampling="4:1:1")),
                          ("progressive", dict(progressive=True)), ("optimized", dict(optimize=True)), ("restarts", dict(restart_marker_blocks=1)),
                          ("rgb", dict(keep_rgb=True)), ("quality5", dict(quality=5)), ("quality100", dict(quality=100))]:
        add(f"{name}.jpg", saved(image, "JPEG", **options))
    add("grey.jpg", saved(image.convert("L"), "JPEG"))
    add("grey_progressive.jpg", saved(image.convert("L"), "JPEG", progressive=True))
    add("cmyk.jpg", saved(pixels("CMYK"), "JPEG", quality=95))
    add("cmyk_420.jpg", saved(pixels("CMYK", 21, 18), "JPEG", subsampling=2))
    plain = saved(image, "JPEG")
    found, scan = segments(plain)
    tables = b"".join(bytes for marker, bytes in found if marker != 0xE0)
    cmyk = saved(pixels("CMYK"), "JPEG")
    add("ycck.jpg", cmyk.replace(b"Adobe\0d\0\0\0\0\0", b"Adobe\0d\0\0\0\0\2"))
    assert b"Adobe\0d\0\0\0\0\2" in cases["ycck.jpg"][0]
    add("no_jfif.jpg", b"\xff\xd8" + tables + scan)
    add("comment.jpg", b"\xff\xd8" + segment(0xFE, b"a comment") + tables + scan)
    add("fill_bytes.jpg", b"\xff\xd8" + segment(0xFE, b"a") + b"\xff\xff\xff" + tables + scan)
    add("no_end.jpg", plain[:-2], "truncated")
    add("trailing.jpg", plain + b"trailing")
    add("scan_error.jpg", plain[:-9] + b"\xff\xff\0" + plain[-6:])
    for value in range(1, 9):
        add(f"exif{value}.jpg", saved(pixels("RGB", 13, 9), "JPEG", exif=orientation(value)))

    def with_app1(*blocks):
        return b"\xff\xd8" + b"".join(segment(0xE1, block) for block in blocks) + tables + scan

    big = b"Exif\0\0MM\0*\0\0\0\x08\0\1\x01\x12\0\3\0\0\0\1\0\6\0\0\0\0\0\0"
    little = b"Exif\0\0II*\0\x08\0\0\0\1\0\x12\1%s\0%s\0\0\0%s\0\0\0\0"
    xmp = b'http://ns.adobe.com/xap/1.0/\0<x tiff:Orientation="%d"/>'
    add("exif_big_endian.jpg", with_app1(big))
    add("exif_long.jpg", with_app1(little % (b"\4", b"\1", b"\6\0\0\0")))
    add("exif_byte.jpg", with_app1(little % (b"\1", b"\1", b"\6\0\0\0")))
    add("exif_two_values.jpg", with_app1(little % (b"\3", b"\2", b"\6\0\6\0")))
    add("exif_three_values.jpg", with_app1(b"Exif\0\0MM\0*\0\0\0\x08\0\1\x01\x12\0\3\0\0\0\3\0\0\0\x1a\0\0\0\0\0\6\0\1\0\1"))
    add("exif_0.jpg", with_app1(little % (b"\3", b"\1", b"\0\0\0\0"), xmp % 6))
    add("exif_9.jpg", with_app1(little % (b"\3", b"\1", b"\x09\0\0\0")))
    add("exif_and_xmp.jpg", with_app1(big, xmp % 3))
    add("exif_other_tag.jpg", with_app1(b"Exif\0\0MM\0*\0\0\0\x08\0\1\1\x0f\0\3\0\0\0\1\0\6\0\0\0\0\0\0", xmp % 3))
    add("exif_twice.jpg", with_app1(big, little % (b"\3", b"\1", b"\3\0\0\0")))
    add("exif_cut.jpg", with_app1(big[:-14]))
    add("exif_far.jpg", with_app1(big[:10] + b"\xff\xff\xff\xf0" + big[14:]))
    add("xmp.jpg", with_app1(xmp % 8))
    add("xmp_twice.jpg", with_app1(xmp % 8, xmp % 2))
    add("exif_garbage.jpg", with_app1(b"Exif\0\0garbage"))

    add("start_only.jpg", b"\xff\xd8\xff", "truncated")
    add("half.jpg", plain[:len(plain) - len(scan) // 2], "truncated")
    add("half_progressive.jpg", cases["progressive.jpg"][0][:-60], "truncated")
    add("tables_only.jpg", plain[:-len(scan)], "truncated")
    add("app1_cut.jpg", b"\xff\xd8\xff\xe1\xff\xff" + big, "truncated")
    add("app1_of_1.jpg", b"\xff\xd8\xff\xe1\0\1" + plain[2:], "broken JPEG")
    add("no_frame.jpg", b"\xff\xd8" + scan, "broken JPEG")
    add("end_at_once.jpg", b"\xff\xd8\xff\xd9", "broken JPEG")

    def with_frame(change):
        return b"\xff\xd8" + b"".join(change(bytearray(data)) if marker == 0xC0 else data for marker, data in found) + scan

    def put(at, value):
        def change(frame):
            frame[at:at + len(value)] = value
            return bytes(frame)
        return change

    # FF C0, length, precision, height, width, components
    for width, height, cause in [(65500, 65500, "a side may have"), (16000, 11000, "176000000 in all"), (1, 4000, "200:1"), (0, 9, "broken JPEG"), (9, 0, "broken JPEG")]:
        add(f"size_{width}x{height}.jpg", with_frame(put(5, struct.pack(">HH", height, width))), cause)
    add("bits12.jpg", with_frame(put(4, b"\x0c")), "broken JPEG")
    add("frame_twice.jpg", with_frame(lambda frame: bytes(frame) * 2), "broken JPEG")
    add("sampling_0.jpg", with_frame(put(11, b"\0")), "broken JPEG")
    two = with_frame(lambda frame: segment(0xC0, bytes(frame[4:9]) + b"\2" + bytes(frame[10:16])))
    add("components_2.jpg", two[:-len(scan)] + segment(0xDA, b"\2\1\0\2\x11\0\x3f\0") + scan[14:], "2 components")
    add("lossless.jpg", with_frame(put(1, b"\xc3")), "broken JPEG")
    add("no_tables.jpg", b"\xff\xd8" + b"".join(data for marker, data in found if marker != 0xDB) + scan, "broken JPEG")
    add("table_length.jpg", plain.replace(b"\xff\xdb\0\x43", b"\xff\xdb\0\x44", 1), "broken JPEG")
    # The last scan refines the last bit of all coefficients. It may come again and again.
    head, parts = scans(saved(pixels("L", 8, 8), "JPEG", progressive=True))
    add("scans_100.jpg", head + b"".join(parts) + parts[-1] * (100 - len(parts)) + b"\xff\xd9")
    add("scans_101.jpg", head + b"".join(parts) + parts[-1] * (101 - len(parts)) + b"\xff\xd9", "scans")


# WebP

def riff(*chunks, length=None):
    body = b"WEBP" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(body) if length is None else length) + body


def part(kind, data, length=None):
    return kind + struct.pack("<I", len(data) if length is None else length) + data + b"\0" * (len(data) % 2)


def u24(value):
    return struct.pack("<I", value)[:3]


def vp8x(flags, width, height):
    return part(b"VP8X", bytes([flags, 0, 0, 0]) + u24(width - 1) + u24(height - 1))


def frame(picture, width, height, x=0, y=0):
    return part(b"ANMF", u24(x // 2) + u24(y // 2) + u24(width - 1) + u24(height - 1) + u24(100) + b"\0" + picture)


def make_webp():
    image = pixels("RGB", 21, 18)
    lossy, lossless = saved(image, "WEBP"), saved(image, "WEBP", lossless=True)
    loaded = Image.open(io.BytesIO(lossless))
    add("lossy.webp", lossy)
    add("lossless.webp", lossless)
    add("quality1.webp", saved(image, "WEBP", quality=1))
    add("alpha.webp", saved(pixels("RGBA"), "WEBP"))
    add("alpha_lossless.webp", saved(pixels("RGBA"), "WEBP", lossless=True, exact=True))
    for value in (1, 3, 6):
        add(f"exif{value}.webp", saved(pixels("RGB"), "WEBP", exif=orientation(value)))
    add("xmp.webp", saved(pixels("RGB"), "WEBP", xmp=b'<x tiff:Orientation="7"/>'))
    add("animated.webp", saved(pixels("RGB"), "WEBP", save_all=True, append_images=[pixels("L").convert("RGB")] * 2, duration=40))
    key, still = lossless[12:], lossy[12:]
    anim = part(b"ANIM", b"\x10\x20\x30\xff\0\0")
    add("animated_offset.webp", riff(vp8x(2, 40, 30), anim, frame(key, 21, 18, 4, 6), frame(still, 21, 18)))
    exif = part(b"EXIF", orientation(6).tobytes())
    add("exif_not_announced.webp", riff(vp8x(0, 21, 18), key, exif))
    add("exif_before.webp", riff(vp8x(8, 21, 18), exif, key))
    add("unknown_chunk.webp", riff(vp8x(0, 21, 18), part(b"abcd", b"123"), key))
    add("trailing.webp", lossless + b"trailing")
    add("exif_garbage.webp", riff(vp8x(8, 21, 18), key, part(b"EXIF", b"garbage")), loaded)

    add("header_only.webp", lossless[:12], "truncated")
    add("half.webp", lossless[:len(lossless) // 2], "truncated")
    add("length_0.webp", riff(key, length=0), "its length")
    add("length_ffffffff.webp", riff(key, length=0xFFFFFFFF), "truncated")
    add("chunk_too_long.webp", riff(part(b"VP8L", key[8:], 0x7FFFFFFF)), "truncated")
    add("pixels_cut.webp", riff(part(b"VP8L", key[8:60])), "WebP")
    add("begins_with_nothing.webp", riff(part(b"abcd", b"12345678"), key), "begins with no picture")
    add("no_picture.webp", riff(vp8x(0, 21, 18), exif), "no picture")
    add("no_frames.webp", riff(vp8x(2, 21, 18), anim, exif), "no picture")
    add("two_sizes.webp", riff(vp8x(0, 20, 18), key), "two sizes")
    add("frame_two_sizes.webp", riff(vp8x(2, 40, 30), anim, frame(key, 21, 17)), "two sizes")
    add("frame_outside.webp", riff(vp8x(2, 40, 30), anim, frame(key, 21, 18, 20, 0)), "does not fit")
    add("frame_empty.webp", riff(vp8x(2, 40, 30), anim, frame(b"", 21, 18)), "no pixels")
    add("frame_short.webp", riff(vp8x(2, 40, 30), anim, part(b"ANMF", b"12345")), "truncated")
    add("vp8x_short.webp", riff(part(b"VP8X", b"1234"), key), "begins with no picture")
    add("signature_vp8l.webp", riff(part(b"VP8L", b"\x2e" + key[9:])), "header of its pixels")
    add("signature_vp8.webp", riff(part(b"VP8 ", still[8:11] + b"abc" + still[14:])), "header of its pixels")
    add("pixels_garbage.webp", riff(part(b"VP8L", key[8:13] + b"\xff" * 200)), "WebP")
    for width, height, cause in [(16000, 11000, "176000000 in all"), (1 << 24, 1, "a side may have"), (1 << 24, 1 << 24, "a side may have"), (4000, 1, "200:1")]:
        add(f"canvas_{width}x{height}.webp", riff(vp8x(2, width, height), anim, frame(key, 21, 18)), cause)
    bits = 16382 | 16382 << 14
    add("size_16383x16383.webp", riff(part(b"VP8L", b"\x2f" + struct.pack("<I", bits) + key[13:])), "in all")


def make_others():
    image = pixels("RGB")
    add("empty.png", b"", "is empty")
    add("picture.gif", saved(image, "GIF"), "is a GIF")
    add("picture.bmp", saved(image, "BMP"), "is a BMP")
    add("picture.tiff", saved(image, "TIFF"), "is a TIFF")
    add("picture.heic", b"\0\0\0\x18ftypheic" + b"\0" * 40, "is a HEIC")
    add("picture.avif", b"\0\0\0\x18ftypavif" + b"\0" * 40, "is an AVIF")
    add("picture.svg", b"<svg xmlns='http://www.w3.org/2000/svg'/>", "is an SVG")
    add("video.mp4", b"\0\0\0\x18ftypisom" + b"\0" * 40, "is a video")
    add("document.pdf", b"%PDF-1.7\n", "is a PDF")
    add("error.png", b"<!DOCTYPE html><html></html>", "is an HTML page")
    add("text.png", b"Not a picture.\n", 'begins with \\"Not a pi'.replace("\\", ""))
    add("zeros.png", b"\0" * 100, "unknown format")
    add("signature_damaged.png", SIGNATURE.replace(b"\r\n", b"\n") + b"\0" * 100, "unknown format")
    add("riff_wave.webp", b"RIFF\x24\0\0\0WAVEfmt " + b"\0" * 28, "unknown format")
    add("named_wrongly.png", saved(image, "JPEG"))


def as_reference(data):
    return ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB")


def resized(image, height, width):
    tensor = torch.from_numpy(np.array(image)).permute(2, 0, 1).unsqueeze(0)
    tensor = tvf.resize(tensor, [height, width], interpolation=tvf.InterpolationMode.BICUBIC, antialias=True)
    return np.ascontiguousarray(tensor[0].permute(1, 2, 0).numpy())


def computed_pixels(height, width):
    """The same as in tests/vision/support.h."""
    i = np.arange(height * width * 3, dtype=np.uint64)
    return ((i * 2654435761 >> 13) % 256).astype(np.uint8).reshape(height, width, 3)


def resize_rows():
    sizes = [(1, 1, 256, 256), (9, 7, 224, 160), (7, 9, 256, 288), (64, 64, 64, 96), (64, 64, 96, 64), (33, 65, 32, 64), (100, 40, 64, 64), (40, 100, 64, 64),
             (300, 17, 96, 32), (17, 300, 32, 96), (480, 640, 480, 640), (481, 639, 480, 640), (333, 500, 320, 512), (16, 1600, 64, 3200), (1600, 16, 3200, 64),
             (512, 512, 32, 32), (512, 31, 32, 480), (31, 512, 480, 32), (200, 1, 928, 32), (1, 200, 32, 928), (1000, 800, 256, 224), (129, 257, 160, 288),
             (50, 60, 1024, 1216), (601, 397, 608, 384), (900, 1200, 896, 1216), (2, 3, 64, 32), (48, 48, 4800, 32), (47, 16, 64, 32), (16, 47, 32, 64), (15, 17, 96, 128)]
    return [[h, w, hb, wb, zlib.crc32(resized(computed_pixels(h, w), hb, wb).tobytes())] for h, w, hb, wb in sizes]


def video_rows():
    found = []
    for frames in (2, 3, 4, 5, 7, 16, 101, 768):
        for height, width in ((480, 640), (17, 900), (31, 31), (1080, 1920), (8, 8), (2160, 3840), (33, 6000), (5, 1100), (64, 96)):
            for low, high in ((4096, 25165824), (2048, 49152), (131072, 786432)):
                try:
                    size = list(smart_resize_video(frames, height, width, 2, 32, low, high))
                except ValueError:
                    size = None
                found.append([frames, height, width, low, high, size])
    return found


def position_rows():
    found = []
    for t, h, w, side, merge in ((1, 2, 2, 48, 2), (1, 8, 10, 48, 2), (1, 14, 20, 48, 2), (3, 4, 6, 48, 2), (1, 2, 36, 48, 2), (1, 48, 48, 48, 2), (1, 96, 100, 48, 2),
                                 (1, 6, 8, 4, 2), (1, 1, 5, 16, 1), (2, 9, 3, 7, 3), (1, 256, 62, 48, 2)):
        grid = torch.tensor([[t, h, w]])
        rows_, weights = get_vision_interpolation_indices_and_weights(grid, side, mode="bilinear", align_corners=True, spatial_merge_size=merge)
        places = get_vision_position_ids(grid, merge)
        found.append({"grid": [t, h, w], "side": side, "merge": merge, "positions": zlib.crc32(places.long().numpy().tobytes()),
                      "rows": zlib.crc32(rows_.long().numpy().tobytes()), "weights": zlib.crc32(weights.float().numpy().tobytes())})
    return found


def patch_rows():
    found = []
    clip = dict(image_mean=[0.48145466, 0.4578275, 0.40821073], image_std=[0.26862954, 0.26130258, 0.27577711])
    for height, width, low, high, patch, merge, options in ((120, 160, 4096, 24576, 16, 2, {}), (64, 96, 65536, 16777216, 16, 2, {}), (64, 64, 1024, 65536, 16, 2, {}),
                                                            (33, 211, 4096, 24576, 16, 2, clip), (50, 70, 3136, 1003520, 14, 2, clip), (90, 61, 1024, 8192, 8, 3, {})):
        processor = Qwen2VLImageProcessor(size={"shortest_edge": low, "longest_edge": high}, patch_size=patch, merge_size=merge, temporal_patch_size=2,
                                          **(options or dict(image_mean=[0.5] * 3, image_std=[0.5] * 3)))
        result = processor(images=[Image.fromarray(computed_pixels(height, width))], return_tensors="pt")
        found.append({"size": [height, width], "config": {"size": {"shortest_edge": low, "longest_edge": high}, "patch_size": patch, "merge_size": merge, **options},
                      "grid": result["image_grid_thw"][0].tolist(), "values": zlib.crc32(result["pixel_values"].contiguous().numpy().tobytes())})
    return found


def frame_rows():
    """Videos whose frame k is computed_pixels without its first k rows."""
    found = []
    for frames, height, width, low, high in ((2, 60, 80, 4096, 25165824), (5, 56, 72, 2048, 49152), (3, 20, 300, 4096, 25165824)):
        processor = Qwen3VLVideoProcessor(size={"shortest_edge": low, "longest_edge": high}, image_mean=[0.5] * 3, image_std=[0.5] * 3, do_sample_frames=False,
                                          cap_pixels_per_frame=False)
        video = np.stack([computed_pixels(height + k, width)[k:] for k in range(frames)])
        result = processor(videos=[torch.from_numpy(video).permute(0, 3, 1, 2)], return_tensors="pt")
        found.append({"frames": frames, "size": [height, width], "areas": [low, high], "grid": result["video_grid_thw"][0].tolist(),
                      "values": zlib.crc32(result["pixel_values_videos"].contiguous().numpy().tobytes())})
    return found


def write_json(file, rows_):
    """One entry a line."""
    if isinstance(rows_, dict):
        lines = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in rows_.items()]
        file.write_text("{\n" + ",\n".join(lines) + "\n}\n")
    else:
        file.write_text("[\n" + ",\n".join(json.dumps(row) for row in rows_) + "\n]\n")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--reference", type=pathlib.Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    make_png()
    make_jpeg()
    make_webp()
    make_others()
    pictures = arguments.folder / "pictures"
    pictures.mkdir(parents=True, exist_ok=True)
    for old in pictures.iterdir():
        old.unlink()
    index = {}
    for name, (data, expected) in sorted(cases.items()):
        (pictures / name).write_bytes(data)
        if isinstance(expected, str):
            index[name] = {"error": expected}
            continue
        try:
            image = expected.convert("RGB") if expected is not None else as_reference(data)
        except Exception as error:
            raise SystemExit(f"{name}: Pillow says {error!r}")
        index[name] = {"width": image.width, "height": image.height, "crc32": crc32(image)}
        if expected is not None:
            try:
                as_reference(data)
                raise SystemExit(f"{name}: Pillow reads it")
            except Exception:
                index[name]["pillow"] = "refuses"
    write_json(arguments.folder / "pictures.json", index)
    write_json(arguments.folder / "resize.json", resize_rows())
    write_json(arguments.folder / "sizes.json", video_rows())
    write_json(arguments.folder / "positions.json", position_rows())
    write_json(arguments.folder / "patches.json", patch_rows())
    write_json(arguments.folder / "frames.json", frame_rows())
    if arguments.reference:
        others = {}
        for file in sorted(arguments.reference.glob("data/ocrsmall/*/*")):
            image = as_reference(file.read_bytes())
            size = smart_resize(image.height, image.width, 32, 65536, 16777216)
            others[str(file.relative_to(arguments.reference))] = {
                "width": image.width, "height": image.height, "crc32": crc32(image), "resized": list(size), "resized_crc32": zlib.crc32(resized(image, *size).tobytes())}
        write_json(arguments.folder / "others.json", others)
    total = sum(file.stat().st_size for file in arguments.folder.rglob("*") if file.is_file())
    refused = sum("error" in entry for entry in index.values())
    print(f"{len(index)} pictures, {refused} of them refused; {total} bytes in all")


main()
