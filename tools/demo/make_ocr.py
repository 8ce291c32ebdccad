#!/usr/bin/env python3
"""Writes models/demo/ocr: held-out pictures and their questions in OCRBench's format, 60 for each of five of its types.

No word, number or phrase that is asked for here is ever shown whole in training (image_texts.held_out).

    python tools/demo/make_ocr.py --out models/demo/ocr --seed 4000
"""
import argparse
import json
import pathlib
import random

from PIL import Image

import image_texts
import images

EACH = 60
FOLDERS = dict(zip(image_texts.KINDS, ("regular", "irregular", "digits", "receipts", "documents")))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("models/demo/ocr"))
    parser.add_argument("--seed", type=int, default=4000)
    options = parser.parse_args()
    cases, total = [], 0
    for kind, folder in FOLDERS.items():
        rng = random.Random(f"{options.seed} {kind}")
        (options.out / folder).mkdir(parents=True, exist_ok=True)
        for number in range(EACH):
            while True:  # one line: the scoring rule makes spaces of line breaks in predictions only
                picture, _, _, asked = images.sample(rng, kind, held=True)
                question, answer = rng.choice(asked)
                if "\n" not in answer:
                    break
            path = f"{folder}/{number:03d}.png"
            # 64 colours keep the noisy ones small; what training saw was not reduced.
            picture.quantize(64, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).save(options.out / path, optimize=True)
            total += (options.out / path).stat().st_size
            answers = answer if kind.endswith("Recognition") else [answer]
            cases.append({"dataset_name": "duan-demo-" + folder, "id": number, "image_path": path, "question": question,
                          "answers": answers, "type": kind})
    (options.out / "ocr.json").write_text(json.dumps(cases, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    print(f"{len(cases)} pictures, {total} bytes")


if __name__ == "__main__":
    main()
