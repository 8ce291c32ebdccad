#!/usr/bin/env python3
"""Writes what numpy makes of the logits that transformers computes with pairs of models, for `duan eval kl`.

tests/data/kl.json: a list of pairs. Each has the folders of the model and the reference (below tests/data, or below the
folder that DUAN_REFERENCE_DIR names), `change`, keys of the model's config.json that are set otherwise (so that a model
has a neighbour without another file of weights), the sequences of ids, and the figures in double precision: mean,
percentiles (numpy's default, linear) and 95 % interval of the Kullback-Leibler divergence, agreement of the most
probable token, perplexities with their intervals, and the log of their ratio with its own.

Takes the fp32 logits of transformers (CPU, eager attention, one thread). A folder whose file stores lm_head.weight
although its embeddings are tied (qwen3-tied) does not serve: versions of transformers read it differently.

    python tools/make_kl_goldens.py [--reference-dir FOLDER] [--out tests/data/kl.json]
"""
import argparse
import json
import pathlib
import tempfile

import numpy as np
import torch
from transformers import AutoModelForCausalLM

NORMAL_95 = 1.959963984540054
LENGTHS = (100, 2, 57)
PAIRS = [
    {"where": "data", "model": "models/qwen2", "change": {"rms_norm_eps": 0.002}, "reference": "models/qwen2"},
    {"where": "data", "model": "models/llama3", "change": {}, "reference": "models/qwen3-untied"},
    {"where": "reference", "model": "golden/models/models/qwen3-yarn", "change": {},
     "reference": "golden/models/models/qwen3-untied"},
    {"where": "reference", "model": "data/qwen3-tinychat/hf", "change": {"rms_norm_eps": 0.002},
     "reference": "data/qwen3-tinychat/hf"},
]


def load(folder, change):
    with tempfile.TemporaryDirectory() as copy:
        for file in folder.glob("*.safetensors*"):
            (pathlib.Path(copy) / file.name).symlink_to(file.absolute())
        config = json.loads((folder / "config.json").read_text()) | change
        (pathlib.Path(copy) / "config.json").write_text(json.dumps(config))
        return AutoModelForCausalLM.from_pretrained(copy, attn_implementation="eager", dtype=torch.float32).eval()


def log_softmax(logits):
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def mean_with_interval(values):
    error = values.std(ddof=1) / np.sqrt(len(values))
    return values.mean(), [values.mean() - NORMAL_95 * error, values.mean() + NORMAL_95 * error]


def figures(model, reference, sequences):
    divergence, loss, reference_loss, same = [], [], [], []
    for ids in sequences:
        rows = []
        for network in (model, reference):
            with torch.no_grad():
                logits = network(input_ids=torch.tensor([ids]), use_cache=False).logits[0, :-1]
            rows.append(log_softmax(logits.numpy().astype(np.float64)))
        log_p, log_reference = rows
        following = np.array(ids[1:])
        positions = np.arange(len(following))
        divergence.extend((np.exp(log_reference) * (log_reference - log_p)).sum(axis=-1))
        loss.extend(-log_p[positions, following])
        reference_loss.extend(-log_reference[positions, following])
        same.extend(log_p.argmax(axis=-1) == log_reference.argmax(axis=-1))
    divergence, loss, reference_loss = map(np.array, (divergence, loss, reference_loss))
    mean, interval = mean_with_interval(divergence)
    result = {"tokens": len(divergence), "top1": float(np.mean(same)),
              "kl": {"mean": mean, "interval_95": interval}}
    for key, percent in {"median": 50, "p90": 90, "p95": 95, "p99": 99, "p99_9": 99.9, "max": 100}.items():
        result["kl"][key] = np.percentile(divergence, percent)
    for key, values in {"perplexity": loss, "reference_perplexity": reference_loss}.items():
        value, interval = mean_with_interval(values)
        result[key] = {"value": np.exp(value), "interval_95": list(np.exp(interval))}
    value, interval = mean_with_interval(loss - reference_loss)
    result["ln_perplexity_ratio"] = {"value": value, "interval_95": interval}
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reference-dir", type=pathlib.Path, help="without it, pairs of that folder stay as they are")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("tests/data/kl.json"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    roots = {"data": pathlib.Path("tests/data"), "reference": options.reference_dir}
    before = json.loads(options.out.read_text()) if options.out.exists() else []
    pairs = []
    for position, pair in enumerate(PAIRS):
        root = roots[pair["where"]]
        if root is None:
            pairs += [old for old in before if pair.items() <= old.items()]
            continue
        model, reference = load(root / pair["model"], pair["change"]), load(root / pair["reference"], {})
        random = np.random.default_rng(position)
        sequences = [random.integers(0, model.config.vocab_size, length).tolist() for length in LENGTHS]
        pairs.append(pair | {"sequences": sequences, "expected": figures(model, reference, sequences)})
        print(pair["model"], pair["reference"], json.dumps(pairs[-1]["expected"]))
    options.out.write_text("[\n" + ",\n".join(json.dumps(pair) for pair in pairs) + "\n]\n")


if __name__ == "__main__":
    main()
