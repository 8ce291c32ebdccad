#!/usr/bin/env python3
"""Trains the demo model from scratch on train.jsonl and writes it in Hugging Face's format.

Loss on the assistant's tokens only. Muon for the weight matrices, AdamW for the embedding and the norms; linear
warm-up, then a cosine down to zero. Every --save-every steps the whole state goes to <work>/checkpoint.pt, from
which --resume continues. With --start the weights of an earlier model are the beginning.

    python tools/demo/train.py --work build/demo --out models/demo
"""
import argparse
import json
import math
import os
import pathlib
import random
import time

import numpy
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer

from model import Qwen3, Shape

NO_THOUGHT = "<think>\n\n</think>\n\n"


def encode(tokenizer, one):
    """Returns (ids, wanted): wanted[i] says that the model is to learn to predict ids[i].

    The text is what the chat template makes of the messages. Earlier answers stand without a thinking block. Their
    first token is not learnt, since without the block's prefix the first token has to be <think>.
    """
    ids, wanted = [], []

    def add(text, learn):
        piece = tokenizer.encode(text).ids
        ids.extend(piece)
        wanted.extend([learn] * len(piece))

    messages = one["messages"]
    for number, message in enumerate(messages):
        add(f"<|im_start|>{message['role']}\n", False)
        if message["role"] != "assistant":
            add(message["content"] + "<|im_end|>", False)
        elif number + 1 < len(messages):
            start = len(ids)
            add(message["content"] + "<|im_end|>", True)
            wanted[start] = False
        elif one["think"] is None:
            add(NO_THOUGHT, False)
            add(message["content"] + "<|im_end|>", True)
        else:
            add(f"<think>\n{one['think']}\n</think>\n\n{message['content']}<|im_end|>", True)
        add("\n", False)
    return ids, wanted


def load_corpus(path, tokenizer, longest):
    rows = []
    with open(path, encoding="utf-8") as file:
        for line in file:
            ids, wanted = encode(tokenizer, json.loads(line))
            if len(ids) <= longest:
                rows.append((numpy.array(ids, dtype=numpy.int16), numpy.array(wanted, dtype=bool)))
    return rows


def batches(rows, tokens_per_batch, seed):
    """Endless batches of rows of similar length: (ids [batch, tokens], flat places, labels).

    Few different shapes (width in eights, a fixed number of rows for a width, places padded with label -100 to a
    multiple of 512): matrix libraries on a CPU prepare a kernel for every new shape, which cost more than the padding.
    """
    rng = random.Random(seed)
    while True:
        by_width = {}
        for i in rng.sample(range(len(rows)), len(rows)):
            by_width.setdefault((len(rows[i][0]) + 6) // 8 * 8, []).append(i)
        groups = []
        for width, members in by_width.items():
            count = max(1, tokens_per_batch // width)
            groups += [(width, count, members[start:start + count]) for start in range(0, len(members), count)]
        rng.shuffle(groups)
        for width, count, group in groups:
            ids = numpy.zeros((count, width), dtype=numpy.int64)
            places, labels = [], []
            for row, i in enumerate(group):
                tokens, wanted = rows[i]
                ids[row, :len(tokens) - 1] = tokens[:-1]
                learn = numpy.nonzero(wanted[1:])[0]
                places.append(row * width + learn)
                labels.append(tokens[1:][learn].astype(numpy.int64))
            padding = -sum(map(len, places)) % 512
            places.append(numpy.zeros(padding, dtype=numpy.int64))
            labels.append(numpy.full(padding, -100))
            yield (torch.from_numpy(ids), torch.from_numpy(numpy.concatenate(places)),
                   torch.from_numpy(numpy.concatenate(labels)))


def write_model(model, tokenizer, out):
    """config.json, generation_config.json and model.safetensors (bf16)."""
    shape = model.shape
    out.mkdir(parents=True, exist_ok=True)
    end, stop = tokenizer.token_to_id("<|endoftext|>"), tokenizer.token_to_id("<|im_end|>")
    config = {
        "architectures": ["Qwen3ForCausalLM"], "attention_bias": False, "attention_dropout": 0.0, "bos_token_id": end,
        "eos_token_id": stop, "head_dim": shape.head_dim, "hidden_act": "silu", "hidden_size": shape.hidden_size,
        "initializer_range": 0.02, "intermediate_size": shape.intermediate_size,
        "max_position_embeddings": shape.max_position_embeddings, "max_window_layers": shape.num_hidden_layers,
        "model_type": "qwen3", "num_attention_heads": shape.num_attention_heads,
        "num_hidden_layers": shape.num_hidden_layers, "num_key_value_heads": shape.num_key_value_heads,
        "rms_norm_eps": shape.rms_norm_eps, "rope_scaling": None, "rope_theta": shape.rope_theta,
        "sliding_window": None, "tie_word_embeddings": True, "torch_dtype": "bfloat16", "use_cache": True,
        "use_sliding_window": False, "vocab_size": shape.vocab_size,
    }
    generation = {"bos_token_id": end, "do_sample": False, "eos_token_id": [stop, end], "pad_token_id": end}
    (out / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    (out / "generation_config.json").write_text(json.dumps(generation, indent=2) + "\n")
    weights = {name: value.detach().cpu().to(torch.bfloat16).contiguous() for name, value in model.state_dict().items()}
    save_file(weights, out / "model.safetensors", metadata={"format": "pt"})


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=pathlib.Path, default=pathlib.Path("build/demo"), help="train.jsonl, checkpoints")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("models/demo"), help="holds tokenizer.json")
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--stop-at", type=int, help="end here, though the schedule runs to --steps")
    parser.add_argument("--batch-tokens", type=int, default=4096)
    parser.add_argument("--longest", type=int, default=640, help="tokens; longer dialogues are left out")
    parser.add_argument("--matrix-rate", type=float, default=0.02, help="Muon's learning rate")
    parser.add_argument("--rate", type=float, default=2e-3, help="AdamW's learning rate (embedding, norms)")
    parser.add_argument("--warmup", type=int, default=60)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--intermediate", type=int, default=512)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--save-every", type=int, default=200)
    parser.add_argument("--resume", action="store_true", help="go on from <work>/checkpoint.pt")
    parser.add_argument("--start", type=pathlib.Path, help="model.safetensors to begin with")
    options = parser.parse_args()

    torch.manual_seed(options.seed)
    torch.set_num_threads(options.threads)
    tokenizer = Tokenizer.from_file(str(options.out / "tokenizer.json"))
    rows = load_corpus(options.work / "train.jsonl", tokenizer, options.longest)
    total = sum(len(ids) for ids, _ in rows)
    shape = Shape(vocab_size=tokenizer.get_vocab_size(), num_hidden_layers=options.layers,
                  intermediate_size=options.intermediate)
    model = Qwen3(shape).to(options.device)
    if options.start:
        model.load_state_dict({name: value.float() for name, value in load_file(options.start).items()})
    print(f"{len(rows)} dialogues, {total} tokens, {sum(p.numel() for p in model.parameters())} parameters", flush=True)

    matrices = [p for name, p in model.named_parameters() if p.dim() == 2 and "embed" not in name]
    others = [p for name, p in model.named_parameters() if p.dim() != 2 or "embed" in name]
    optimizers = [torch.optim.Muon(matrices, lr=options.matrix_rate, weight_decay=0.02, momentum=0.95,
                                   adjust_lr_fn="original"),
                  torch.optim.AdamW(others, lr=options.rate, betas=(0.9, 0.98), weight_decay=0.0)]
    rates = (options.matrix_rate, options.rate)
    step, seen, spent, worked = 0, 0, 0.0, 0.0
    if options.resume:
        state = torch.load(options.work / "checkpoint.pt", weights_only=True)
        model.load_state_dict(state["model"])
        for optimizer, saved in zip(optimizers, state["optimizers"]):
            optimizer.load_state_dict(saved)
        step, seen, spent, worked = state["step"], state["seen"], state["spent"], state.get("worked", 0.0)
    source = batches(rows, options.batch_tokens, options.seed + 1)
    for _ in range(step):
        next(source)

    started, mean = time.time() - spent, None
    worked = worked - time.process_time()
    while step < (options.stop_at or options.steps):
        scale = min(1.0, (step + 1) / options.warmup) * 0.5 * (1 + math.cos(math.pi * step / options.steps))
        for optimizer, rate in zip(optimizers, rates):
            for group in optimizer.param_groups:
                group["lr"] = rate * scale
        ids, places, labels = (part.to(options.device) for part in next(source))
        with torch.autocast(options.device, dtype=torch.bfloat16):
            logits = model(ids, places)
        loss = torch.nn.functional.cross_entropy(logits.float(), labels)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(others, 1.0)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        step += 1
        seen += ids.numel()
        mean = loss.item() if mean is None else 0.95 * mean + 0.05 * loss.item()
        if step % 20 == 0:
            now = time.time() - started
            print(f"step {step} loss {mean:.4f} tokens {seen} seconds {now:.0f} CPU seconds "
                  f"{worked + time.process_time():.0f} tokens/s {seen / now:.0f}", flush=True)
        if step % options.save_every == 0 or step == options.steps:
            state = {"model": model.state_dict(), "optimizers": [optimizer.state_dict() for optimizer in optimizers],
                     "step": step, "seen": seen, "spent": time.time() - started, "worked": worked + time.process_time()}
            torch.save(state, options.work / "checkpoint.tmp")
            os.replace(options.work / "checkpoint.tmp", options.work / "checkpoint.pt")
            write_model(model, tokenizer, options.out)


if __name__ == "__main__":
    main()
