#!/usr/bin/env python3
"""duan and transformers on the same checkpoint, in turn, in one run.

    python benchmarks/against_transformers.py MODEL --duan build/release/bin/duan [--threads 2] [--rounds 3]

Needs torch and transformers (pip install torch transformers). Each round times, with random ids and bf16 throughout,
prefill of 512 tokens (logits of the last position) and 32 greedy tokens after a prompt of 16, first in transformers,
then in duan. Prints one line per round, the medians and their ratio.
"""

import argparse
import json
import statistics
import subprocess
import time

import torch
from transformers import AutoModelForCausalLM


def transformers_round(model, vocab):
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(0, vocab, (1, 512), generator=generator)
    with torch.inference_mode():
        start = time.perf_counter()
        model(ids, logits_to_keep=1)
        prefill = 512 / (time.perf_counter() - start)
        out = model(ids[:, :16], logits_to_keep=1)
        token = out.logits[:, -1].argmax(-1, keepdim=True)
        start = time.perf_counter()
        for _ in range(32):
            out = model(token, past_key_values=out.past_key_values)
            token = out.logits[:, -1].argmax(-1, keepdim=True)
        decode = 32 / (time.perf_counter() - start)
    return prefill, decode


def duan_round(duan, model, threads):
    command = [duan, "bench", model, "-p", "512", "-n", "32", "-d", "16", "-t", str(threads), "-r", "1", "--compute",
               "bf16", "--json"]
    report = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    rates = {row["test"]: row["tokens_per_second"] for row in report["tests"]}
    return rates["prefill 512"], rates["decode 32 at 16"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--duan", default="build/release/bin/duan")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()

    torch.set_num_threads(args.threads)
    model = AutoModelForCausalLM.from_pretrained(args.model, dtype=torch.bfloat16).eval()
    transformers_round(model, model.config.vocab_size)  # warm-up
    rows = []
    for round_number in range(args.rounds):
        theirs = transformers_round(model, model.config.vocab_size)
        ours = duan_round(args.duan, args.model, args.threads)
        rows.append((*theirs, *ours))
        print(f"round {round_number + 1}: prefill 512 transformers {theirs[0]:.1f} duan {ours[0]:.1f} tok/s; "
              f"decode transformers {theirs[1]:.2f} duan {ours[1]:.2f} tok/s", flush=True)
    medians = [statistics.median(column) for column in zip(*rows)]
    print(f"median: prefill 512 {medians[2]:.1f} / {medians[0]:.1f} = {medians[2] / medians[0]:.2f}x; "
          f"decode {medians[3]:.2f} / {medians[1]:.2f} = {medians[3] / medians[1]:.2f}x (torch {torch.__version__})")


if __name__ == "__main__":
    main()
