#!/usr/bin/env python3
"""Writes what transformers computes with models/demo (fp32, CPU), for the engine's tests.

Prompts rendered by the chat template, as tests/data/models/demo/<case>.safetensors: input_ids [n], logits
[ceil(n / 4), vocab] of every 4th position, logits_last [vocab], greedy_ids [32] (with the cache, no stop at an end token).

    python tools/demo/make_golden.py
"""
import argparse
import pathlib

import torch
from safetensors.torch import save_file
from transformers import AutoModelForImageTextToText, AutoTokenizer

GREEDY_TOKENS = 32
PROMPTS = {
    "zh_hello": [{"role": "user", "content": "你好"}],
    "zh_kv_cache": [{"role": "user", "content": "什么是KV缓存？"}],
    "zh_name": [{"role": "user", "content": "我叫小明"}, {"role": "assistant", "content": "你好，小明！很高兴认识你。"},
                {"role": "user", "content": "我叫什么名字？"}],
    "en_awq": [{"role": "user", "content": "What is AWQ?"}],
    "en_sum": [{"role": "user", "content": "What is 37 plus 48?"}],
    "en_commands": [{"role": "system", "content": "You are a helpful assistant."},
                    {"role": "user", "content": "What commands does duan have?"}],
}


def greedy(model, ids):
    """Greedy ids with the cache, and the smallest difference between the best and the second best logit."""
    chosen, margin, past, step = [], float("inf"), None, ids
    for _ in range(GREEDY_TOKENS):
        output = model(input_ids=step, past_key_values=past, use_cache=True)
        past = output.past_key_values
        best = output.logits[0, -1].topk(2)
        margin = min(margin, (best.values[0] - best.values[1]).item())
        chosen.append(best.indices[0].item())
        step = torch.tensor([[chosen[-1]]])
    return chosen, margin


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=pathlib.Path, default=pathlib.Path("models/demo"))
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("tests/data/models/demo"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    tokenizer = AutoTokenizer.from_pretrained(options.model)
    model = AutoModelForImageTextToText.from_pretrained(options.model, attn_implementation="eager", dtype=torch.float32).eval()
    stop = tokenizer.convert_tokens_to_ids("<|im_end|>")
    options.out.mkdir(parents=True, exist_ok=True)
    for name, messages in PROMPTS.items():
        text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True, enable_thinking=False)
        ids = torch.tensor([tokenizer(text).input_ids])
        with torch.no_grad():
            logits = model(input_ids=ids, use_cache=False).logits[0]
            chosen, margin = greedy(model, ids)
        save_file({"input_ids": ids[0].contiguous(), "logits": logits[::4].contiguous(),
                   "logits_last": logits[-1].contiguous(), "greedy_ids": torch.tensor(chosen)},
                  options.out / f"{name}.safetensors")
        until = chosen[:chosen.index(stop)] if stop in chosen else chosen
        print(f"{name}: margin {margin:.4f}, {tokenizer.decode(until)}")


if __name__ == "__main__":
    main()
