#!/usr/bin/env python3
"""Writes the tiny Qwen3-VL that the engine is tested against, and what transformers computes with it and pictures.

tests/data/vl/qwen3-vl: config.json, model.safetensors (bf16), preprocessor_config.json; pictures as PNG; and
goldens/<case>.safetensors with input_ids [n], position_ids [3, n], rope_delta, vision_features and deepstack.<k>
[tokens of all pictures, hidden], logits [n, vocab] and greedy_ids [16] (with the cache, no stop at an end token).
goldens/index.json names the pictures of each case and the smallest difference between the best and the second best
logit along the greedy path.

Weights are random, rounded to bf16 first; the reference computes with them in fp32 on the CPU (eager attention, one
thread). Needs torch, torchvision, transformers, safetensors and pillow.

    python tools/make_vl_goldens.py [--out tests/data/vl/qwen3-vl]
"""
import argparse
import json
import pathlib

import numpy
import torch
from PIL import Image
from safetensors.torch import save_file
from transformers import AutoConfig, AutoImageProcessor, Qwen3VLForConditionalGeneration

GREEDY_TOKENS = 16
LEAST_MARGIN = 2e-3
VOCAB = 128
START, END, PAD, VIDEO = 120, 121, 122, 123

CONFIG = {
    "architectures": ["Qwen3VLForConditionalGeneration"], "model_type": "qwen3_vl", "tie_word_embeddings": True,
    "image_token_id": PAD, "video_token_id": VIDEO, "vision_start_token_id": START, "vision_end_token_id": END,
    "text_config": {
        "model_type": "qwen3_vl_text", "attention_bias": False, "bos_token_id": 0, "eos_token_id": 2, "head_dim": 24,
        "hidden_act": "silu", "hidden_size": 64, "intermediate_size": 80, "max_position_embeddings": 4096,
        "num_attention_heads": 4, "num_hidden_layers": 3, "num_key_value_heads": 2, "rms_norm_eps": 1e-6,
        "rope_scaling": {"mrope_interleaved": True, "mrope_section": [6, 3, 3], "rope_type": "default"},
        "rope_theta": 10000, "vocab_size": VOCAB, "dtype": "bfloat16", "tie_word_embeddings": True,
    },
    # A head of 12, as little a multiple of 16 as the 72 of the 8B; an MLP of an odd multiple of 4.
    "vision_config": {
        "model_type": "qwen3_vl", "deepstack_visual_indexes": [0, 2], "depth": 3, "hidden_act": "gelu_pytorch_tanh",
        "hidden_size": 48, "in_channels": 3, "intermediate_size": 76, "num_heads": 4, "num_position_embeddings": 25,
        "out_hidden_size": 64, "patch_size": 16, "spatial_merge_size": 2, "temporal_patch_size": 2,
    },
}
PREPROCESSOR = {
    "size": {"longest_edge": 65536, "shortest_edge": 4096}, "patch_size": 16, "temporal_patch_size": 2,
    "merge_size": 2, "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5],
    "processor_class": "Qwen3VLProcessor", "image_processor_type": "Qwen2VLImageProcessorFast",
}
PICTURES = {"wide.png": (150, 60), "tall.png": (33, 97), "square.png": (64, 64)}
CASES = {"one": ["wide.png"], "two": ["tall.png", "square.png"], "none": []}


def picture(name, size):
    random = numpy.random.default_rng(len(name))
    x, y = numpy.meshgrid(numpy.arange(size[0]), numpy.arange(size[1]))
    waves = numpy.stack([numpy.sin(x / 7), numpy.cos(y / 5), numpy.sin((x + y) / 11)], -1) * 90 + 128
    return Image.fromarray(numpy.clip(waves + random.normal(0, 12, waves.shape), 0, 255).astype(numpy.uint8))


def random_weights(model, seed):
    generator = torch.Generator().manual_seed(seed)
    for name, weight in sorted(model.state_dict().items()):
        scale = 0.25 if weight.dim() > 1 else 0.1
        values = torch.randn(weight.shape, generator=generator) * scale
        if "norm" in name and name.endswith("weight"):
            values += 1
        weight.copy_(values.to(torch.bfloat16).float())


def run_case(model, processor, out, files):
    images = [Image.open(out / file) for file in files]
    inputs = processor(images=images, return_tensors="pt") if images else {}
    ids = [5, 9]
    for k in range(len(files)):
        tokens = int(inputs["image_grid_thw"][k].prod()) // 4
        ids += [START] + [PAD] * tokens + [END, 30 + k]
    ids += [41, 17, 3]
    ids = torch.tensor([ids])
    types = (ids == PAD).long()
    model.model.rope_deltas = None  # it would keep those of the case before
    with torch.no_grad():
        result = model(input_ids=ids, mm_token_type_ids=types, **inputs)
        tensors = {"input_ids": ids[0], "logits": result.logits[0]}
        if images:
            grid = inputs["image_grid_thw"]
            positions, delta = model.model.get_rope_index(ids, mm_token_type_ids=types, image_grid_thw=grid)
            tensors["position_ids"], tensors["rope_delta"] = positions[:, 0], delta[0]
            vision = model.model.visual(inputs["pixel_values"], grid_thw=grid)
            tensors["vision_features"] = vision.pooler_output
            for k, level in enumerate(vision.deepstack_features):
                tensors[f"deepstack.{k}"] = level
        margin, greedy, cache, step = float("inf"), [], result.past_key_values, result.logits[0, -1]
        for _ in range(GREEDY_TOKENS):
            best = step.topk(2)
            margin = min(margin, float(best.values[0] - best.values[1]))
            greedy.append(int(best.indices[0]))
            step = model(input_ids=best.indices[:1][None], past_key_values=cache).logits[0, -1]
        tensors["greedy_ids"] = torch.tensor(greedy)
    return {name: tensor.contiguous() for name, tensor in tensors.items()}, margin


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("tests/data/vl/qwen3-vl"))
    out = parser.parse_args().out
    torch.set_num_threads(1)
    (out / "goldens").mkdir(parents=True, exist_ok=True)
    (out / "config.json").write_text(json.dumps(CONFIG, indent=2) + "\n")
    (out / "preprocessor_config.json").write_text(json.dumps(PREPROCESSOR, indent=2) + "\n")
    for name, size in PICTURES.items():
        picture(name, size).save(out / name)
    processor = AutoImageProcessor.from_pretrained(out)
    for seed in range(7000, 7100):  # the first whose greedy paths are clear
        config = AutoConfig.from_pretrained(out)
        model = Qwen3VLForConditionalGeneration._from_config(config, attn_implementation="eager").float().eval()
        random_weights(model, seed)
        model.tie_weights()
        results = {case: run_case(model, processor, out, files) for case, files in CASES.items()}
        if min(margin for _, margin in results.values()) >= LEAST_MARGIN:
            break
    state = {name: weight.to(torch.bfloat16).contiguous() for name, weight in model.state_dict().items()}
    state.pop("lm_head.weight", None)
    save_file(state, out / "model.safetensors", metadata={"format": "pt"})
    index = {}
    for case, (tensors, margin) in results.items():
        save_file(tensors, out / "goldens" / f"{case}.safetensors")
        index[case] = {"images": CASES[case], "greedy_min_margin": margin}
    (out / "goldens" / "index.json").write_text(json.dumps({"seed": seed, "cases": index}, indent=1) + "\n")


if __name__ == "__main__":
    main()
