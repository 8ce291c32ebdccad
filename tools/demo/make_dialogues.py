#!/usr/bin/env python3
"""Writes whole dialogues for quantization: some to calibrate on, others to judge the result by.

models/demo/calibration.jsonl: 128 dialogues in phrasings the model was trained on, with a thought where training has
one. heldout_dialogues.jsonl: 200 dialogues in phrasings (and most sums and names) that training never sees, without
thoughts. Both: {"messages": [...]} a line.

    python tools/demo/make_dialogues.py --held-out build/demo/heldout_dialogues.jsonl
"""
import argparse
import json
import pathlib
import random

import dialogues
import intents
import make_corpus


def write(file, count, next_dialogue):
    file.parent.mkdir(parents=True, exist_ok=True)
    with open(file, "w", encoding="utf-8") as out:
        for _ in range(count):
            out.write(json.dumps({"messages": next_dialogue()}, ensure_ascii=False) + "\n")
    print(f"{file}: {count} dialogues, {file.stat().st_size} bytes")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calibration", type=pathlib.Path, default=pathlib.Path("models/demo/calibration.jsonl"))
    parser.add_argument("--held-out", type=pathlib.Path, default=pathlib.Path("build/demo/heldout_dialogues.jsonl"))
    parser.add_argument("--seed", type=int, default=2000)
    options = parser.parse_args()
    files = intents.read_all()
    trained = dialogues.Maker(files, random.Random(options.seed))
    heldout = dialogues.Maker(files, random.Random(options.seed + 1), heldout=True)
    kept_out = make_corpus.heldout_phrasings(files)

    def calibration_dialogue():
        while True:
            one = dialogues.dialogue(trained)
            if any(m["role"] == "user" and dialogues.normal(m["content"]) in kept_out for m in one["messages"]):
                continue  # the noise made a held-out question out of another phrasing
            if one["think"]:
                one["messages"][-1]["reasoning_content"] = one["think"]
            return one["messages"]

    write(options.calibration, 128, calibration_dialogue)
    write(options.held_out, 200, lambda: dialogues.dialogue(heldout)["messages"])


if __name__ == "__main__":
    main()
