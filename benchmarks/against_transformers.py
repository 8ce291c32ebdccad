#!/usr/bin/env python3
"""duan and transformers on the same checkpoint, in turn, in one run.

    python benchmarks/against_transformers.py MODEL --duan build/release/bin/duan [--threads 2] [--rounds 3]

Needs torch and transformers (pip install torch transformers). Each round times, with random ids and bf16 throughout,
prefill of 512 tokens (logits of the last position) and 32 greedy tokens after a prompt of 16, first in transformers,
then in duan. Prints one line per round, the medians and their ratio.
"""

import time

import torch
from transformers import AutoModelForCausalLM

import side_by_side


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


def main():
    args = side_by_side.arguments(__doc__, "MODEL")
    torch.set_num_threads(args.threads)
    model = AutoModelForCausalLM.from_pretrained(args.model, dtype=torch.bfloat16).eval()
    side_by_side.compare(args, "transformers", lambda: transformers_round(model, model.config.vocab_size),
                         f"torch {torch.__version__}", ["--compute", "bf16"])


if __name__ == "__main__":
    main()
