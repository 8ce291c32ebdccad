"""Holds exports of Qwen3-VL against transformers, with no code of duan but the export: onnx's checker and shape
inference, and ONNX Runtime from pixel_values and image_grid_thw to logits.

usage: tests/interop/onnx_images.py [--duan PROGRAM] [--reference DIR] [--precision fp32 fp16] [--only WORD...]
The models are those of DIR (or DUAN_REFERENCE_DIR): golden/models/vl_index.json. Without it nothing can be compared.
Needs numpy, pillow, safetensors, onnx, onnxruntime. Exits 1 if anything differs.
"""

import argparse
import itertools
import json
import os
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import onnx
import onnxruntime
from PIL import Image
from safetensors.numpy import load_file

from onnx_goldens import DIALECTS, SOURCES, Failure, check, close, golden_rows

FEATURE_TOLERANCE = {"fp32": 2e-4, "fp16": 2e-2}
LOGIT_TOLERANCE = {"fp32": 5e-4, "fp16": 0.1}  # 2 % of their standard deviation; at most 0.066 was seen
GRAPHS = ("vision_encoder", "embed_tokens", "decoder_model_merged")


def patches(picture, patch=16, merge=2, frames=2):
    """A resized picture as pixel_values and image_grid_thw."""
    values = np.asarray(Image.open(picture).convert("RGB"), np.float32) / 127.5 - 1
    height, width, _ = values.shape
    rows, columns = height // patch, width // patch
    blocks = values.reshape(rows // merge, merge, patch, columns // merge, merge, patch, 3)
    blocks = blocks.transpose(0, 3, 1, 4, 6, 2, 5)  # block row, block column, row, column, colour, y, x
    blocks = np.repeat(blocks[..., None, :, :], frames, axis=-3)
    return blocks.reshape(rows * columns, -1), np.array([[1, rows, columns]], np.int64)


class Model:
    def __init__(self, folder, config):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 3
        self.encoder, self.embedding, self.decoder = (
            onnxruntime.InferenceSession(str(folder / f"{name}.onnx"), options, providers=["CPUExecutionProvider"])
            for name in GRAPHS)
        self.config = config
        self.inputs = {i.name: i for i in self.decoder.get_inputs()}
        self.levels = sum(name.startswith("deepstack_embeds.") for name in self.inputs)

    def see(self, pixels, grid):
        """image_features, and deepstack_features by level."""
        return self.encoder.run(None, {"pixel_values": pixels, "image_grid_thw": grid})

    def empty_past(self):
        return {name: np.zeros((1, i.shape[1], 0, i.shape[3]), np.float16 if "16" in i.type else np.float32)
                for name, i in self.inputs.items() if name.startswith("past_key_values.")}

    def feed(self, ids, positions, rows, chunks):
        """The logits of a sequence: `rows` are those of all its images, by level, in the order of their tokens."""
        ids = np.asarray(ids, np.int64).reshape(1, -1)
        seen = np.isin(ids[0], [self.config["image_token_id"], self.config["video_token_id"]])
        embeds = self.embedding.run(None, {"input_ids": ids})[0]
        deepstack = [np.zeros_like(embeds) for _ in range(self.levels)]
        if rows:
            check(seen.sum() == len(rows[0]), f"{seen.sum()} tokens for {len(rows[0])} rows")
            embeds[0, seen] = rows[0]
            for level, values in zip(deepstack, rows[1:]):
                level[0, seen] = values
        past, logits, done = self.empty_past(), [], 0
        for size in chunks if past else [ids.shape[1]]:
            part = slice(done, min(done + size, ids.shape[1]))
            if part.start == part.stop:
                break
            done = part.stop
            feeds = {"inputs_embeds": embeds[:, part], "attention_mask": np.ones((1, done), np.int64),
                     "position_ids": positions[:, None, part], **past}
            for i, level in enumerate(deepstack):
                feeds[f"deepstack_embeds.{i}"] = level[:, part]
            names = [o.name for o in self.decoder.get_outputs()]
            results = dict(zip(names, self.decoder.run(names, feeds)))
            logits.append(results.pop("logits")[0])
            past = {name.replace("present", "past_key_values"): value for name, value in results.items()}
        return np.concatenate(logits)


def check_case(model, golden, pictures, precision):
    rows = []
    if "pixel_values_videos" in golden:  # all frames in one call
        rows.append(model.see(golden["pixel_values_videos"], golden["video_grid_thw"].astype(np.int64)))
    rows += [model.see(*patches(picture)) for picture in pictures]
    rows = [np.concatenate(level) for level in zip(*rows)]
    worst = 0.0
    for name, values in zip(["vision_features"] + [f"deepstack.{i}" for i in range(model.levels)], rows):
        if name in golden:
            worst = max(worst, close(values, golden[name], FEATURE_TOLERANCE[precision], name))
    if "logits" in golden:
        at, expected = golden_rows(golden)
    else:
        at, expected = [-1], golden["logits_last"].reshape(1, -1)
    for chunks in ([10_000], [5, 3, 1, 10_000]):
        logits = model.feed(golden["input_ids"], golden["position_ids"], rows, chunks)
        worst = max(worst, close(logits[at], expected, LOGIT_TOLERANCE[precision], f"logits, chunks {chunks}"))
    return worst


def resized(root, index, picture):
    name = pathlib.Path(picture).stem
    return root / index["preprocess"][name]["resized"]


def check_folder(folder, root, index, precision):
    for name in GRAPHS:
        onnx.checker.check_model(str(folder / f"{name}.onnx"), full_check=True)
        inferred = onnx.shape_inference.infer_shapes(
            onnx.load(str(folder / f"{name}.onnx"), load_external_data=False), strict_mode=True, check_type=True)
        check(len(inferred.graph.value_info) > 0, f"{name}: no shapes")
    model = Model(folder, json.loads((folder / "config.json").read_text()))
    worst = 0.0
    for name, case in index["cases"].items():
        golden = load_file(root / case["file"])
        if "position_ids" not in golden:
            golden["position_ids"] = np.tile(np.arange(len(golden["input_ids"])), (3, 1))
        try:
            pictures = [resized(root, index, picture) for picture in case["images"]]
            worst = max(worst, check_case(model, golden, pictures, precision))
        except Failure as failure:
            raise Failure(f"{name}: {failure}") from None
    return worst


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--duan", default=str(SOURCES / "build/release/bin/duan"))
    parser.add_argument("--reference", default=os.environ.get("DUAN_REFERENCE_DIR"))
    parser.add_argument("--precision", nargs="*", default=["fp32", "fp16"], choices=["fp32", "fp16"])
    parser.add_argument("--only", nargs="*", default=[], help="words the name of a form must contain")
    arguments = parser.parse_args()
    if not arguments.reference:
        print("skipped: no --reference, and DUAN_REFERENCE_DIR is not set")
        return 0

    root = pathlib.Path(arguments.reference) / "golden" / "models"
    index = json.loads((root / "vl_index.json").read_text())
    failed = ran = 0
    for dialect, cache, precision in itertools.product(DIALECTS, (True, False), arguments.precision):
        title = f"qwen3-vl {dialect} {precision} {'kv' if cache else 'no-kv'}"
        if not all(word in title for word in arguments.only):
            continue
        with tempfile.TemporaryDirectory() as temporary:
            folder = pathlib.Path(temporary) / "out"
            command = [arguments.duan, "export", str(root / index["model"]), "-o", str(folder), "--dialect", dialect,
                       "--precision", precision] + ([] if cache else ["--no-kv-cache"])
            try:
                done = subprocess.run(command, capture_output=True, text=True)
                check(done.returncode == 0, f"duan export: {done.stderr.strip()}")
                worst = check_folder(folder, root, index, precision)
                print(f"ok    {title}: {len(index['cases'])} cases, at most {worst:.2g} from transformers", flush=True)
            except Exception as error:  # whatever a consumer throws is what this script is here to report
                failed += 1
                print(f"FAIL  {title}: {type(error).__name__}: {error}", flush=True)
            ran += 1
    print(f"{ran - failed} of {ran} exports pass")
    return 1 if failed or not ran else 0


if __name__ == "__main__":
    sys.exit(main())
