#!/usr/bin/env python3
"""duan's vision tower and that of transformers on the same checkpoint and picture, in turn, in one run.

    python benchmarks/vision_against_transformers.py MODEL --duan build/release/bin/duan [--size 1024x1024]

MODEL is a Qwen3-VL folder with a tokenizer. Needs torch, torchvision and transformers. Each round times a picture of
random pixels from the file to the rows that the language part receives: the preprocessor and model.visual in bf16 in
transformers; `duan run --image` (image_seconds of its --json), a few tokens being generated after it. Prints one line
per round, the medians and their ratio, the rate of the tower's matrix products (linear layers and attention, DUAN_PROFILE)
beside what the machine's registers reach (kernel_bench, before and after each run), and duan's peak memory beside the
weights and beside what `duan inspect --image-size` said.
"""

import argparse
import json
import os
import pathlib
import re
import statistics
import subprocess
import tempfile
import time

import numpy
import torch
import transformers
from PIL import Image


def theirs(processor, visual, file):
    with torch.inference_mode():
        start = time.perf_counter()
        inputs = processor(images=[Image.open(file).convert("RGB")], return_tensors="pt")
        visual(inputs["pixel_values"].to(torch.bfloat16), grid_thw=inputs["image_grid_thw"])
        return time.perf_counter() - start


def ours(args, file):
    command = [args.duan, "run", args.model, "--image", file, "What is written in the image?", "-n", "8", "--ignore-eos",
               "--ctx-size", str(args.context), "-t", str(args.threads), "--compute", args.compute, "--greedy", "--json"]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env={**os.environ, "DUAN_PROFILE": "1"})
    # The tower's lines come before those of the language part.
    seconds = {}
    for name, value in re.findall(r"profile: (\w+) ([0-9.]+) s", done.stderr):
        seconds.setdefault(name, float(value))
    return json.loads(done.stdout), seconds["linear"] + seconds["attention"]


def matrix_operations(model, patches):
    """Of the tower: multiplications and additions of its matrix products, attention's included."""
    vision = json.loads((pathlib.Path(model) / "config.json").read_text())["vision_config"]
    hidden, inner, merged = vision["hidden_size"], vision["intermediate_size"], vision["spatial_merge_size"] ** 2
    patch = vision["in_channels"] * vision["temporal_patch_size"] * vision["patch_size"] ** 2
    layer = 2 * patches * (4 * hidden * hidden + 2 * hidden * inner) + 4 * patches * patches * hidden
    wide = merged * hidden
    merger = 2 * patches // merged * (wide * wide + wide * vision["out_hidden_size"])
    mergers = 1 + len(vision["deepstack_visual_indexes"])
    return 2 * patches * patch * hidden + vision["depth"] * layer + mergers * merger


def peak(args):
    """Operations per second of multiply-adds on registers: of bf16 pairs where there are such instructions."""
    command = [args.kernel_bench, "--threads", str(args.threads), "--only", "machine", "--json"]
    machine = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return machine["bf16_flops"] if machine["bf16_flops"] > 0 and args.compute != "fp32" else machine["fp32_flops"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", metavar="MODEL")
    parser.add_argument("--duan", default="build/release/bin/duan")
    parser.add_argument("--kernel-bench", default="build/release/bin/kernel_bench")
    parser.add_argument("--size", default="1024x1024", help="WIDTHxHEIGHT")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--compute", default="auto", help="of duan: auto, fp32 or bf16")
    parser.add_argument("--context", type=int, default=4096)
    parser.add_argument("--alone", action="store_true", help="duan alone: no torch model is loaded")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    width, height = map(int, args.size.split("x"))
    pixels = numpy.random.default_rng(1).integers(0, 256, (height, width, 3), dtype=numpy.uint8)
    inspected = json.loads(subprocess.run([args.duan, "inspect", args.model, "--image-size", args.size, "--ctx-size",
                                           str(args.context), "--json"], check=True, capture_output=True, text=True).stdout)
    processor = model = None
    if not args.alone:
        processor = transformers.AutoImageProcessor.from_pretrained(args.model)
        model = transformers.Qwen3VLForConditionalGeneration.from_pretrained(args.model, dtype=torch.bfloat16).eval()
    with tempfile.TemporaryDirectory() as folder:
        file = str(pathlib.Path(folder) / "picture.png")
        Image.fromarray(pixels).save(file, compress_level=1)
        rows, rates, peaks, resident, answer = [], [], [], 0, {}
        for number in range(args.rounds):
            them = theirs(processor, model.model.visual, file) if not args.alone else float("nan")
            peaks.append(peak(args))
            answer, matrix_seconds = ours(args, file)
            peaks.append(peak(args))
            timings = answer["timings"]
            rows.append((them, timings["image_seconds"]))
            rates.append(matrix_operations(args.model, 4 * timings["image_tokens"]) / matrix_seconds)
            resident = max(resident, answer["peak_rss_bytes"])
            print(f"round {number + 1}: image {args.size}, transformers {them:.2f} s, duan {timings['image_seconds']:.2f} s "
                  f"for {timings['image_tokens']} tokens; then prefill {timings['prefill_seconds']:.2f} s, decode "
                  f"{timings['decode_tokens_per_second']:.2f} tok/s; the tower's matrix products {rates[-1] / 1e9:.0f} GFLOP/s, "
                  f"{100 * rates[-1] / statistics.mean(peaks[-2:]):.0f} % of registers", flush=True)
    them, us = (statistics.median(column) for column in zip(*rows))
    print(f"median: duan {us:.2f} s / transformers {them:.2f} s = {us / them:.2f} (torch {torch.__version__}, transformers "
          f"{transformers.__version__}, {args.threads} threads)")
    rate, limit = statistics.median(rates), statistics.median(peaks)
    print(f"the tower's matrix products: {rate / 1e9:.0f} GFLOP/s (best {max(rates) / 1e9:.0f}), {100 * rate / limit:.0f} % "
          f"({100 * max(rates) / limit:.0f} %) of {limit / 1e9:.0f} on registers")
    weights, stated = inspected["memory"]["weights"], inspected["memory"]["weights"] + inspected["image"]["peak_bytes"]
    print(f"peak RSS {resident / 1e9:.3f} GB, weights {weights / 1e9:.3f} GB: {100 * (resident / weights - 1):+.1f} %; duan inspect "
          f"stated {stated / 1e9:.3f} GB: {100 * (stated / resident - 1):+.1f} %")


if __name__ == "__main__":
    main()
