#!/usr/bin/env python3
"""duan's ONNX engine and ONNX Runtime GenAI on the same ONNX folder, in turn, in one run.

    python benchmarks/against_genai.py FOLDER --duan build/release/bin/duan [--threads 2] [--rounds 3]

FOLDER is what `duan export` or GenAI's model builder wrote. Needs onnxruntime-genai and numpy. Each round times, with
random ids, prefill of 512 tokens and 32 greedy tokens after a prompt of 16, first in GenAI, then in duan. Prints one
line per round, the medians and their ratio. GenAI computes logits of every position of a prompt unless the folder
gives only the last one's (`duan export --logits last`); duan asks for the last one's.
"""

import argparse
import json
import statistics
import subprocess
import time

import numpy as np
import onnxruntime_genai as genai


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


def duan_round(duan, folder, threads):
    command = [duan, "bench", folder, "--engine", "onnx", "-p", "512", "-n", "32", "-d", "16", "-t", str(threads),
               "-r", "1", "--json"]
    report = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    rates = {row["test"]: row["tokens_per_second"] for row in report["tests"]}
    return rates["prefill 512"], rates["decode 32 at 16"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("--duan", default="build/release/bin/duan")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()

    with open(f"{args.folder}/genai_config.json", encoding="utf-8") as file:
        vocab = json.load(file)["model"]["vocab_size"]
    model = load(args.folder, args.threads)
    genai_round(model, vocab)  # warm-up
    rows = []
    for round_number in range(args.rounds):
        theirs = genai_round(model, vocab)
        ours = duan_round(args.duan, args.folder, args.threads)
        rows.append((*theirs, *ours))
        print(f"round {round_number + 1}: prefill 512 GenAI {theirs[0]:.1f} duan {ours[0]:.1f} tok/s; "
              f"decode GenAI {theirs[1]:.2f} duan {ours[1]:.2f} tok/s", flush=True)
    medians = [statistics.median(column) for column in zip(*rows)]
    print(f"median: prefill 512 {medians[2]:.1f} / {medians[0]:.1f} = {medians[2] / medians[0]:.2f}x; "
          f"decode {medians[3]:.2f} / {medians[1]:.2f} = {medians[3] / medians[1]:.2f}x "
          f"(onnxruntime-genai {genai.__version__})")


if __name__ == "__main__":
    main()
