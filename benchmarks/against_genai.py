#!/usr/bin/env python3
"""duan's ONNX engine and ONNX Runtime GenAI on the same ONNX folder, in turn, in one run.

    python benchmarks/against_genai.py FOLDER --duan build/release/bin/duan [--threads 2] [--rounds 3]

FOLDER is what `duan export` or GenAI's model builder wrote. Needs onnxruntime-genai and numpy. Each round times, with
random ids, prefill of 512 tokens and 32 greedy tokens after a prompt of 16, first in GenAI, then in duan. Prints one
line per round, the medians and their ratio. GenAI computes logits of every position of a prompt unless the folder
gives only the last one's (`duan export --logits last`); duan asks for the last one's.
"""

import json
import time

import numpy as np
import onnxruntime_genai as genai

import side_by_side


def load(folder, threads):
    config = genai.Config(folder)
    config.overlay(json.dumps(
        {"model": {"decoder": {"session_options": {"intra_op_num_threads": threads, "inter_op_num_threads": 1}}}}))
    return genai.Model(config)


def genai_round(model, vocab):
    ids = np.random.default_rng(1).integers(0, vocab, 512).astype(np.int32)

    def generator(length):
        params = genai.GeneratorParams(model)
        params.set_search_options(max_length=length, min_length=length, do_sample=False)
        return genai.Generator(model, params)

    run = generator(576)
    start = time.perf_counter()
    run.append_tokens(ids)
    run.get_logits()
    prefill = len(ids) / (time.perf_counter() - start)
    del run
    run = generator(64)
    run.append_tokens(ids[:16])
    run.generate_next_token()  # chosen from the prompt's logits
    start = time.perf_counter()
    for _ in range(32):
        run.generate_next_token()
    decode = 32 / (time.perf_counter() - start)
    return prefill, decode


def main():
    args = side_by_side.arguments(__doc__, "FOLDER")
    with open(f"{args.model}/genai_config.json", encoding="utf-8") as file:
        vocab = json.load(file)["model"]["vocab_size"]
    model = load(args.model, args.threads)
    side_by_side.compare(args, "GenAI", lambda: genai_round(model, vocab), f"onnxruntime-genai {genai.__version__}",
                         ["--engine", "onnx"])


if __name__ == "__main__":
    main()
