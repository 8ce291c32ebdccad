#!/usr/bin/env python3
"""Averages the weights of two checkpoints of one training and writes the model: often better than either of them.

    python tools/demo/average.py build/first/checkpoint.pt build/second/checkpoint.pt --share 0.6 --out models/demo
"""
import argparse
import pathlib

import torch
from tokenizers import Tokenizer

from model import Qwen3, Shape
from train import write_model


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("first", type=pathlib.Path)
    parser.add_argument("second", type=pathlib.Path)
    parser.add_argument("--share", type=float, default=0.5, help="of the second checkpoint")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("models/demo"), help="holds tokenizer.json")
    options = parser.parse_args()
    first, second = (torch.load(path, weights_only=True)["model"] for path in (options.first, options.second))
    tokenizer = Tokenizer.from_file(str(options.out / "tokenizer.json"))
    gates = [name for name in first if name.endswith("gate_proj.weight")]
    model = Qwen3(Shape(vocab_size=tokenizer.get_vocab_size(), num_hidden_layers=len(gates),
                        intermediate_size=first[gates[0]].shape[0]))
    model.load_state_dict({name: (1 - options.share) * first[name] + options.share * second[name] for name in first})
    write_model(model, tokenizer, options.out)


if __name__ == "__main__":
    main()
