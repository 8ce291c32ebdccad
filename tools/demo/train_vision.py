#!/usr/bin/env python3
"""Teaches the demo model to read text in pictures: trains a vision tower beside the language part and both together.

Two stages of so many minutes each, of CPU time on a CPU (others may use the machine), of real time on a GPU. `tower`: the
tower alone learns to name the character at each sixth of an image token (an auxiliary head that is dropped afterwards).
`all`: tower and language part learn dialogues about pictures, mixed with the dialogues of train.jsonl so that nothing is
forgotten. Muon for the matrices of the layers, AdamW for the rest, cosine to zero over each stage, exponential average of
the weights; the best average by held-out answers is written to --out in Qwen3-VL's format. Where the weights to begin with
can read already, pictures of all kinds come from the start; else easy ones first.

    python tools/demo/train_vision.py --work build/demo --stage tower --minutes 12
    python tools/demo/train_vision.py --work build/demo --stage all --minutes 60 --out build/demo/vl
    python tools/demo/train_vision.py --stage all --minutes 15 --device cuda --workers 14 --patches 12288 --text-tokens 8192
"""
import argparse
import math
import os
import pathlib
import random
import time

import numpy
import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import nn
from torch.nn import functional as F

import image_texts
import images
from model import Shape
from muon import Muon
from picture_batches import Dialogues, Source
from train import batches, load_corpus
from vision import Qwen3VL, VisionShape, load_weights
from write_vision import write_vision_model

VALIDATION_SEED, VALIDATION = 777, 40  # pictures of each kind


def validation(dialogues):
    """Batches of held-out pictures, grouped by size: (images, labels of slots, kinds, ids, places, labels, before)."""
    groups = {}
    for kind in image_texts.KINDS:
        rng = random.Random(f"{VALIDATION_SEED} {kind}")
        for _ in range(VALIDATION):
            picture, centres, _, asked = images.sample(rng, kind, held=True)
            array = images.pixels(picture)
            groups.setdefault(array.shape, []).append((array, images.slot_labels(picture, centres, array.shape), kind, asked))
    found = []
    for shape, group in groups.items():
        table = dialogues.batch(random.Random(0), shape[0] * shape[1] // 1024, [one[3] for one in group], plain=True)
        found.append((torch.from_numpy(numpy.stack([one[0] for one in group])), numpy.stack([one[1] for one in group]),
                      [one[2] for one in group], *table))
    return found


@torch.no_grad()
def score(model, cases):
    """{kind: share of answers that greedy decoding gets right to the last token}, and under "all"."""
    right, total = {}, {}
    for pictures, _, kinds, ids, places, labels, before in cases:
        device = model.inverse.device
        best = model(torch.from_numpy(ids).to(device), torch.from_numpy(places).to(device), pictures.to(device), before)
        best = best.argmax(-1).cpu().numpy()
        wrong = set((places[best != labels] // ids.shape[1]).tolist())
        for row, kind in enumerate(kinds):
            for name in (kind, "all"):
                total[name] = total.get(name, 0) + 1
                right[name] = right.get(name, 0) + (row not in wrong)
    return {name: right[name] / total[name] for name in total}


@torch.no_grad()
def score_slots(model, head, cases):
    """Share of the slots with a character that the auxiliary head names rightly."""
    right = total = 0
    for pictures, slots, *_ in cases:
        tokens = model.vision(pictures.to(head.weight.device))[0]
        guess = head(tokens).view(-1, len(image_texts.characters())).argmax(-1).cpu().numpy()
        slots = slots.reshape(-1)
        right, total = right + ((guess == slots) & (slots > 0)).sum(), total + (slots > 0).sum()
    return right / total


class Average:
    """Exponential average of the weights."""

    def __init__(self, model, keep):
        self.keep, self.count = keep, 0
        self.values = {name: value.detach().clone() for name, value in model.state_dict().items()}

    @torch.no_grad()
    def add(self, model):
        self.count += 1
        keep = min(self.keep, (1 + self.count) / (10 + self.count))
        values = model.state_dict()
        torch._foreach_lerp_([self.values[name] for name in values], list(values.values()), 1 - keep)


def save(path, state):
    torch.save(state, path.with_suffix(".tmp"))
    os.replace(path.with_suffix(".tmp"), path)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=pathlib.Path, default=pathlib.Path("build/demo"), help="train.jsonl, checkpoints")
    parser.add_argument("--model", type=pathlib.Path, default=pathlib.Path("models/demo"), help="tokenizer, weights to begin with")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("build/demo/vl"))
    parser.add_argument("--stage", choices=("tower", "all"), required=True)
    parser.add_argument("--minutes", type=float, required=True, help="for this stage: of CPU time, with --device cuda of real time")
    parser.add_argument("--rate", type=float, default=1e-3, help="AdamW's, of the tower")
    parser.add_argument("--text-rate", type=float, default=3e-4, help="AdamW's, of the language part")
    parser.add_argument("--muon", type=float, default=2.0, help="Muon's rates, as a multiple of AdamW's")
    parser.add_argument("--patches", type=int, default=1536, help="of a batch, 24 being added for each dialogue")
    parser.add_argument("--text-tokens", type=int, default=1024, help="of the replayed dialogues of a step")
    parser.add_argument("--dialogues", type=int, default=40000, help="lines of train.jsonl to replay")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--workers", type=int, default=1, help="processes that draw")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--every", type=float, default=4.0, help="minutes between scores and checkpoints")
    parser.add_argument("--start", type=pathlib.Path, help="checkpoint of a stage to begin with (default: the tower's, if there is one)")
    parser.add_argument("--resume", action="store_true", help="go on from this stage's checkpoint")
    options = parser.parse_args()
    torch.manual_seed(options.seed)
    torch.set_num_threads(options.threads)
    torch.set_float32_matmul_precision("high")
    clock = time.process_time if options.device == "cpu" else time.monotonic
    options.work.mkdir(parents=True, exist_ok=True)
    joint = options.stage == "all"
    path = options.work / f"vision_{options.stage}.pt"

    def move(*arrays):
        return [torch.as_tensor(array).to(options.device) for array in arrays]

    tokenizer = Tokenizer.from_file(str(options.model / "tokenizer.json"))
    dialogues = Dialogues(tokenizer)
    model = Qwen3VL(Shape(vocab_size=tokenizer.get_vocab_size()), VisionShape())
    head = nn.Linear(256, images.SLOTS * len(image_texts.characters()))
    tower = options.work / "vision_tower.pt"
    start = path if options.resume else options.start or (tower if joint and tower.exists() else None)
    weights = load_file(options.model / "model.safetensors")
    taught = any("visual" in name for name in weights)
    load_weights(model, weights)
    average, step, seen, spent, best = None, 0, {"pictures": 0, "text": 0, "tokens": 0}, 0.0, -1.0
    state = torch.load(start, weights_only=True, map_location="cpu") if start else None
    if state:
        model.load_state_dict(state["model"])
        head.load_state_dict(state["head"])
    model.to(options.device)
    head.to(options.device)
    parts = [(options.rate, [*model.vision.named_parameters(), *head.named_parameters()])]
    parts += [(options.text_rate, list(model.text.named_parameters()))] if joint else []
    matrices, others = [], []
    for rate, named in parts:
        inner = [p for name, p in named if ("blocks." in name or "layers." in name) and p.dim() == 2]
        matrices.append({"params": inner, "base": options.muon * rate})
        others.append({"params": [p for _, p in named if all(p is not one for one in inner)], "base": rate})
    optimizers = [Muon(matrices, options.rate), torch.optim.AdamW(others, betas=(0.9, 0.98), weight_decay=0.01)]
    model.text.requires_grad_(joint)
    average = Average(model, 0.998)
    if options.resume:
        for optimizer, saved in zip(optimizers, state["optimizers"]):
            optimizer.load_state_dict(saved)
        average.values = {name: value.to(options.device) for name, value in state["average"].items()}
        average.count = state["step"]
        step, seen, spent, best = (state[name] for name in ("step", "seen", "spent", "best"))
    cases = validation(dialogues)
    replay = batches(load_part(options.work / "train.jsonl", tokenizer, options.dialogues), options.text_tokens,
                     options.seed + 1000 + step) if joint else None
    judge = Qwen3VL(model.text.shape, model.vision.shape).to(options.device)
    source = Source(options.seed * 7919 + step + (1 << 20) * joint, options.patches, options.model / "tokenizer.json",
                    workers=options.workers)
    print(f"{sum(p.numel() for p in model.parameters())} parameters, {sum(p.numel() for p in model.vision.parameters())} of "
          f"them in the tower; {len(image_texts.characters()) - 1} characters", flush=True)

    def slot_loss(tokens, slots):
        return F.cross_entropy(head(tokens).view(-1, len(image_texts.characters())), slots.view(-1))

    begun, mean, noted, shown = clock() - spent, {}, spent, spent
    while True:
        part = spent / (60 * options.minutes)
        if not taught:
            source.level.value = 0 if part < (0.06 if joint else 0.15) else 1 if part < (0.15 if joint else 0.25) else 2
        scale = min(1.0, (step + 1) / 100) * 0.5 * (1 + math.cos(math.pi * min(1.0, part)))
        for group in [group for optimizer in optimizers for group in optimizer.param_groups]:
            group["lr"] = group["base"] * max(scale, 1e-3)
        pictures, slots, (ids, places, labels, before) = source.next()
        pictures, slots = move(pictures, slots.astype(numpy.int64))
        tokens, levels = model.vision(pictures) if joint else (model.vision(pictures, False), [])
        losses = {"slots": slot_loss(tokens, slots)}
        loss = losses["slots"]
        if joint:
            seen["tokens"] += ids.size
            ids, places, labels = move(ids, places, labels)
            losses["read"] = F.cross_entropy(model(ids, places, pictures, before, (tokens, levels)), labels)
            text_ids, text_places, text_labels = move(*next(replay))
            losses["text"] = F.cross_entropy(model(text_ids, text_places), text_labels)
            # Seeing is the slower of the two to learn and costs a fifth: one more batch for the tower alone.
            pictures_too, slots_too, _ = source.next()
            pictures_too, slots_too = move(pictures_too, slots_too.astype(numpy.int64))
            more = slot_loss(model.vision(pictures_too, False), slots_too)
            loss = losses["read"] + 0.7 * losses["text"] + 0.3 * losses["slots"] + 0.7 * more
            seen["tower"] = seen.get("tower", 0) + len(pictures_too)
            seen["text"] += text_ids.numel()
        loss.backward()
        torch.nn.utils.clip_grad_norm_([p for group in others for p in group["params"]], 1.0)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        average.add(model)
        step += 1
        seen["pictures"] += len(pictures)
        for name, value in losses.items():  # on the device: a step does not wait for the one before
            mean[name] = value.detach() if name not in mean else mean[name].lerp(value.detach(), 0.03)
        spent = clock() - begun
        over = spent >= 60 * options.minutes
        if spent - shown > 20 or over:
            shown = spent
            print(f"step {step} level {source.level.value} {spent:.0f} s, {seen} "
                  + " ".join(f"{name} {value.item():.3f}" for name, value in mean.items()), flush=True)
        if spent - noted > 60 * options.every or over:
            noted = spent
            judge.load_state_dict(average.values)
            if joint:
                figures = score(judge, cases)
                print("held-out answers: " + ", ".join(f"{name} {100 * value:.0f} %" for name, value in figures.items()), flush=True)
                if figures["all"] >= best:  # equal ones too: before it reads anything, later is better
                    best = figures["all"]
                    write_vision_model(judge, options.model, options.out)
            else:
                print(f"held-out slots: {100 * score_slots(judge, head, cases):.1f} %, without averaging "
                      f"{100 * score_slots(model, head, cases):.1f} %", flush=True)
            save(path, {"model": model.state_dict(), "head": head.state_dict(), "best": best,
                        "optimizers": [optimizer.state_dict() for optimizer in optimizers],
                        "average": average.values, "step": step, "seen": seen, "spent": spent})
        if over:
            break
    source.stop()


def load_part(path, tokenizer, lines):
    """The first lines of the corpus, at most 200 tokens each."""
    part = path.with_suffix(".part.jsonl")
    with open(path, encoding="utf-8") as whole, open(part, "w", encoding="utf-8") as file:
        for _, line in zip(range(lines), whole):
            file.write(line)
    return load_corpus(part, tokenizer, 200)


if __name__ == "__main__":
    main()
