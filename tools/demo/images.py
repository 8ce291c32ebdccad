"""Draws the demo model's pictures: short texts in many fonts, sizes and colours, with light noise, bent or turned ones too.

A picture is made at any size and then goes through Qwen3-VL's own smart_resize and bicubic resampling, as the preprocessor
of the model does with files, so that training sees what a user's picture becomes.
"""
import functools
import math
import pathlib
import random

import numpy
from PIL import Image, ImageDraw, ImageFilter, ImageFont

import image_texts

FACTOR = 32  # patch size times merge size: one image token covers 32x32 pixels
MIN_PIXELS, MAX_PIXELS = 2048, 131072
SLOTS = 6  # columns of an image token that the auxiliary loss names a character for
ROOT = pathlib.Path("/usr/share/fonts")
LATIN = ["DejaVuSans", "DejaVuSans-Bold", "DejaVuSansMono", "DejaVuSerif", "FreeSans", "FreeSerif", "LiberationSans-Regular",
         "LiberationSans-Bold", "LiberationSerif-Regular", "LiberationMono-Regular", "NotoSans-Regular", "NotoSerif-Regular"]
CHINESE = [("NotoSansCJK-Regular", 2), ("NotoSansCJK-Bold", 2), ("NotoSerifCJK-Regular", 2), ("wqy-zenhei", 0), ("wqy-microhei", 0),
           ("uming", 0)]


@functools.cache
def files():
    return {path.stem: path for path in sorted(ROOT.rglob("*.tt[fc]"))}


@functools.lru_cache(maxsize=2000)
def font(name, index, size):
    if name not in files():
        raise SystemExit(f"the font {name} is not under {ROOT}; the packages are listed in tools/demo/README.md")
    return ImageFont.truetype(str(files()[name]), size, index=index, layout_engine=ImageFont.Layout.BASIC)


@functools.lru_cache(maxsize=200000)
def advance(name, index, size, character):
    return font(name, index, size).getlength(character)


def smart_resize(height, width):
    """The size Qwen3-VL's preprocessor gives a picture."""
    if max(height, width) / min(height, width) > 200:
        raise ValueError("the picture is too narrow")
    rows, columns = round(height / FACTOR) * FACTOR, round(width / FACTOR) * FACTOR
    if rows * columns > MAX_PIXELS:
        beta = math.sqrt(height * width / MAX_PIXELS)
        rows = max(FACTOR, math.floor(height / beta / FACTOR) * FACTOR)
        columns = max(FACTOR, math.floor(width / beta / FACTOR) * FACTOR)
    elif rows * columns < MIN_PIXELS:
        beta = math.sqrt(MIN_PIXELS / (height * width))
        rows, columns = math.ceil(height * beta / FACTOR) * FACTOR, math.ceil(width * beta / FACTOR) * FACTOR
    return rows, columns


def colours(rng):
    """(paper, ink), far enough apart to be read."""
    if rng.random() < 0.35:
        pair = (255, 255, 255), (0, 0, 0)
        return pair if rng.random() < 0.85 else pair[::-1]
    while True:
        paper, ink = ([rng.randint(0, 255) for _ in range(3)] for _ in range(2))
        if rng.random() < 0.5:
            paper = [255 - value // 4 for value in paper]
        light = [0.3 * one[0] + 0.59 * one[1] + 0.11 * one[2] for one in (paper, ink)]
        if abs(light[0] - light[1]) > 100:
            return tuple(paper), tuple(ink)


def place(rng, lines, name, index, size, kind):
    """([(character, x, y, width)], width, height, bend) of the text, y being the top of its line."""
    pitch = round(size * rng.uniform(1.3, 1.6)) if len(lines) > 1 else round(size * 1.25)
    across, down = rng.randint(3, 14), rng.randint(1, 7)
    boxes, widest = [], 0
    bend = rng.uniform(2, 5) * rng.choice((-1, 1)) if kind.startswith("Irregular") and rng.random() < 0.4 else 0
    receipt = kind.startswith("Key")
    for number, text in enumerate(lines):
        left = across
        x = left
        for i, character in enumerate(text):
            y = down + number * pitch + (bend * math.sin(math.pi * (i + 0.5) / len(text)) if bend else 0)
            wide = advance(name, index, size, character)
            boxes.append((character, x, y, wide))
            x += wide
        widest = max(widest, x)
    if receipt and rng.random() < 0.5:  # prices stand at the right edge
        widest += rng.randint(0, 20)
        moved, start = [], 0
        for text in lines:
            part = boxes[start:start + len(text)]
            start += len(text)
            space = text.rfind(" ")
            shift = widest - (part[-1][1] + part[-1][3]) if space > 0 and text[-1].isdigit() else 0
            moved += [(c, x + (shift if i > space else 0), y, w) for i, (c, x, y, w) in enumerate(part)]
        boxes = moved
    return boxes, math.ceil(widest + rng.randint(3, 14)), down + pitch * (len(lines) - 1) + round(size * 1.25) + rng.randint(1, 7), bend


def draw(rng, lines, kind, plain=False):
    """(picture, [(character, centre x, centre y, width)]); plain: one font, black on white, no noise."""
    chinese = any(ord(one) > 0x2000 for text in lines for one in text)
    name, index = rng.choice(CHINESE) if chinese else (rng.choice(LATIN), 0)
    if plain:
        name, index = ("NotoSansCJK-Regular", 2) if chinese else ("DejaVuSans", 0)
    size = rng.randint(17, 24) if len(lines) > 1 else rng.randint(18, 26)
    face = font(name, index, size)
    boxes, width, height, bend = place(rng, lines, name, index, size, kind)
    paper, ink = ((255, 255, 255), (0, 0, 0)) if plain else colours(rng)
    if bend:
        height += 10
    picture = Image.new("RGB", (width, height), paper)
    pen = ImageDraw.Draw(picture)
    ascent, descent = face.getmetrics()
    lift = (size * 1.25 - ascent - descent) / 2
    offset = 5 if bend else 0
    for text_start in ([0] if not bend else []):
        start = text_start
        for text in lines:
            words, i = [], 0
            while i < len(text):  # words are drawn whole, so that kerning stays the font's own
                j = i
                while j < len(text) and text[j] != " ":
                    j += 1
                if j > i:
                    words.append((i, j))
                i = j + 1
            for i, j in words:
                _, x, y, _ = boxes[start + i]
                pen.text((x, y + lift), text[i:j], font=face, fill=ink)
            start += len(text)
    if bend:
        for character, x, y, _ in boxes:
            pen.text((x, y + lift + offset), character, font=face, fill=ink)
    centres = [(c, x + w / 2, y + offset + size * 0.62, w) for c, x, y, w in boxes if c != " "]
    if kind.startswith("Irregular") and not (bend and rng.random() < 0.5):
        picture, centres = turn(rng, picture, centres, paper)
    if not plain:
        picture = spoil(rng, picture)
    return picture, centres


def turn(rng, picture, centres, paper):
    """Rotated by up to 6 degrees and sheared; the canvas grows with it."""
    angle, shear = math.radians(rng.uniform(-6, 6)), rng.uniform(-0.2, 0.2)
    a, b, d, e = math.cos(angle), math.cos(angle) * shear - math.sin(angle), math.sin(angle), math.sin(angle) * shear + math.cos(angle)
    width, height = picture.size
    corners = [(a * x + b * y, d * x + e * y) for x, y in ((0, 0), (width, 0), (0, height), (width, height))]
    left, top = (min(corner[k] for corner in corners) for k in (0, 1))
    wide, high = (math.ceil(max(corner[k] for corner in corners) - low) for k, low in ((0, left), (1, top)))
    determinant = a * e - b * d
    inverse = (e / determinant, -b / determinant, d and -d / determinant, a / determinant)
    matrix = (inverse[0], inverse[1], inverse[0] * left + inverse[1] * top, inverse[2], inverse[3], inverse[2] * left + inverse[3] * top)
    turned = picture.transform((wide, high), Image.Transform.AFFINE, matrix, resample=Image.Resampling.BICUBIC, fillcolor=paper)
    return turned, [(c, a * x + b * y - left, d * x + e * y - top, w) for c, x, y, w in centres]


def spoil(rng, picture):
    if rng.random() < 0.2:
        picture = picture.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 0.8)))
    if rng.random() < 0.4:
        noise = numpy.random.default_rng(rng.getrandbits(32)).normal(0, rng.uniform(2, 14), (*picture.size[::-1], 1))
        picture = Image.fromarray(numpy.clip(numpy.asarray(picture) + noise, 0, 255).astype(numpy.uint8))
    return picture


def pixels(picture):
    """What the preprocessor makes of a picture: uint8 [height, width, 3], both sides multiples of 32."""
    rows, columns = smart_resize(picture.height, picture.width)
    # One pass at a time, as torchvision does; Pillow alone would sometimes begin with the columns.
    wide = picture.resize((columns, picture.height), Image.Resampling.BICUBIC)
    return numpy.array(wide.resize((columns, rows), Image.Resampling.BICUBIC))


@functools.cache
def classes():
    return {character: number for number, character in enumerate(image_texts.characters())}


def slot_labels(picture, centres, shape):
    """[rows, columns, SLOTS] of the character whose box covers the middle of each sixth of an image token; 0 is none."""
    rows, columns = shape[0] // FACTOR, shape[1] // FACTOR
    labels = numpy.zeros((rows, columns * SLOTS), dtype=numpy.int16)
    step = FACTOR / SLOTS
    across, down = shape[1] / picture.width, shape[0] / picture.height
    for character, x, y, width in centres:
        row = min(rows - 1, max(0, int(y * down / FACTOR)))
        first = math.ceil((x - width / 2) * across / step - 0.5)
        last = math.ceil((x + width / 2) * across / step - 0.5)
        if last <= first:
            first = int(x * across / step)
            last = first + 1
        labels[row, max(0, first):max(0, last)] = classes()[character]
    return labels.reshape(rows, columns, SLOTS)


def sample(rng, kind, held=False, easy=False, plain=False, most_tokens=40):
    """(picture, centres, lines, [(question, answer)]) that becomes at most most_tokens image tokens, 10 wide."""
    while True:
        lines, asked = image_texts.content(rng, kind, held, easy)
        picture, centres = draw(rng, lines, kind, plain)
        rows, columns = smart_resize(picture.height, picture.width)
        if columns <= 10 * FACTOR and rows * columns <= most_tokens * FACTOR * FACTOR:
            return picture, centres, lines, asked


if __name__ == "__main__":  # a page of examples, to look at
    import sys
    rng, page, y = random.Random(int(sys.argv[2])), Image.new("RGB", (1000, 900), (128, 128, 128)), 0
    for kind in image_texts.KINDS:
        x = 0
        for _ in range(3 * 5):
            picture, _, _, asked = sample(rng, kind)
            array = Image.fromarray(pixels(picture))
            if x + array.width > 1000:
                x, y = 0, y + (140 if kind[0] in "KD" and "Digit" not in kind else 70)
            if y < 860:
                page.paste(array, (x, y))
            x += array.width + 6
        y += 140 if kind[0] in "KD" and "Digit" not in kind else 70
    page.save(sys.argv[1])
