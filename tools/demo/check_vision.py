#!/usr/bin/env python3
"""Compares vision.py with transformers' Qwen3VLForConditionalGeneration on a written checkpoint, logits and pixels.

    python tools/demo/check_vision.py --model build/demo/vl
"""
import argparse
import pathlib
import random

import numpy
import torch
from PIL import Image
from safetensors.torch import load_file
from tokenizers import Tokenizer
from transformers import AutoProcessor, Qwen3VLForConditionalGeneration

import image_texts
import images
from model import Shape
from picture_batches import Dialogues
from vision import Qwen3VL, VisionShape, load_weights


def load(path):
    """vision.py's model with the weights of a written checkpoint, in fp32."""
    weights = load_file(path / "model.safetensors")
    model = Qwen3VL(Shape(vocab_size=weights["model.language_model.embed_tokens.weight"].shape[0]), VisionShape())
    load_weights(model, weights)
    return model.eval()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=pathlib.Path, default=pathlib.Path("build/demo/vl"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    ours, theirs = load(options.model), Qwen3VLForConditionalGeneration.from_pretrained(options.model, dtype=torch.float32).eval()
    processor = AutoProcessor.from_pretrained(options.model)
    dialogues = Dialogues(Tokenizer.from_file(str(options.model / "tokenizer.json")))
    worst = 0.0
    for number, kind in enumerate(image_texts.KINDS * 2):
        picture, _, _, asked = images.sample(random.Random(number), kind, held=True)
        array = images.pixels(picture)
        inputs = processor(text=processor.apply_chat_template(
            [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": asked[0][0]}]}],
            add_generation_prompt=True, enable_thinking=False), images=picture, return_tensors="pt")
        ids, places, labels, before = dialogues.batch(random.Random(0), array.shape[0] * array.shape[1] // 1024, [asked], plain=True)
        prompt = inputs.input_ids[0].tolist()
        if prompt != ids[0, :len(prompt)].tolist():
            raise SystemExit(f"prompts differ: {prompt} {ids[0].tolist()}")
        mine = ours.vision.patchify(torch.from_numpy(array[None]))[0]
        grid = inputs.image_grid_thw[0].tolist()
        if grid != [1, array.shape[0] // 16, array.shape[1] // 16]:
            raise SystemExit(f"{picture.size}: grid {grid}, {array.shape} expected")
        reference = inputs.pixel_values.view(-1, 3, 2, 256)[:, :, 0].flatten(1)
        changed = (mine - reference).abs() * 127.5
        # The same pixels for both, so that only the arithmetic is compared.
        inputs["pixel_values"] = mine.view(-1, 3, 1, 256).expand(-1, 3, 2, 256).reshape(-1, 1536)
        with torch.no_grad():
            expected = theirs(**inputs).logits[0]
            got = ours(inputs.input_ids, torch.arange(len(prompt)), torch.from_numpy(array[None]), before)
        difference = (expected - got).abs().max().item()
        worst = max(worst, difference)
        print(f"{kind:28s} {picture.size} grid {grid}: logits differ by at most {difference:.2e}; pixels by {changed.max():.0f} levels, "
              f"{100 * (changed > 0.5).float().mean():.2f} % of them")
    if worst > 1e-3:
        raise SystemExit(f"logits differ by {worst}")


if __name__ == "__main__":
    main()
