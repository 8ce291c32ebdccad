"""4-bit weights by duan and by llm-compressor's AWQ: how far are predictions from the source's?

Both see the same token ids in the same order and round the same matrices (not the head, not the vision tower): symmetric
codes in groups of 128, mse observer, AWQ with duo scaling and 20 candidates. Every output, theirs too, is judged by
`duan eval kl` in fp32 on the same held-out tokens.

usage: awq_quality.py --model FOLDER --calibration calib.json --held-out heldout.json [--samples 64] [--tokens 160]
       awq_quality.py --model FOLDER --calibration chats.jsonl --held-out heldout.jsonl [--think off]
Files are a list of lists of token ids (.json), or dialogues, {"messages": [...]} a line (.jsonl). Needs llmcompressor
0.14 and what it asks for. llm-compressor computes in --dtype; bfloat16 is what its examples use, float32 what it does
best in. Exits 1 if `awq` is worse than 1.02 times theirs, or `awq-gptq` than half of theirs.
"""

import argparse
import json
import pathlib
import shutil
import sys
import tempfile

import torch
import transformers
from datasets import Dataset
from duan_program import duan, judged_on
from llmcompressor import oneshot
from llmcompressor.modifiers.quantization import QuantizationModifier
from llmcompressor.modifiers.transform.awq import AWQModifier
from llmcompressor.pipelines.cache import IntermediatesCache

SOURCES = pathlib.Path(__file__).resolve().parents[1]
METHODS = ("rtn", "awq", "gptq", "awq-gptq")


def samples_of(program, model, file):
    if file.suffix == ".json":
        return json.loads(file.read_text())
    lines = [json.loads(line) for line in file.read_text().splitlines() if line.strip()]
    asked = "".join(json.dumps({**line, "add_generation_prompt": False}) + "\n" for line in lines)
    answers = [json.loads(line) for line in duan(program, "template", model, "--jsonl", stdin=asked).splitlines()]
    return [answer["ids"] for answer in answers]


def by_llm_compressor(source, out, samples, dtype):
    if not torch.cuda.is_available():  # 0.14 pins memory for a device that is not there
        IntermediatesCache._pin_intermediate = classmethod(lambda *_: None)
    architecture = json.loads((source / "config.json").read_text())["architectures"][0]
    model = getattr(transformers, architecture).from_pretrained(source, dtype=dtype)
    weights = {"num_bits": 4, "type": "int", "symmetric": True, "strategy": "group", "group_size": 128, "observer": "mse"}
    rounding = QuantizationModifier(config_groups={"group_0": {"targets": ["Linear"], "weights": weights}},
                                    ignore=["lm_head", "re:.*visual.*"])
    data = Dataset.from_list([{"input_ids": ids, "attention_mask": [1] * len(ids)} for ids in samples])
    oneshot(model=model, dataset=data, recipe=[AWQModifier(duo_scaling=True, n_grid=20), rounding],
            num_calibration_samples=len(samples), max_seq_length=max(map(len, samples)), shuffle_calibration_samples=False)
    model.save_pretrained(out, save_compressed=True)
    for file in source.iterdir():  # the tokenizer and its kin
        if file.is_file() and file.suffix != ".safetensors" and not (out / file.name).exists():
            shutil.copy(file, out)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--duan", default=str(SOURCES / "build/release/bin/duan"))
    parser.add_argument("--model", required=True, type=pathlib.Path)
    parser.add_argument("--calibration", required=True, type=pathlib.Path)
    parser.add_argument("--held-out", required=True, type=pathlib.Path)
    parser.add_argument("--think", default="auto", choices=("on", "off", "auto"), help="prompts of held-out dialogues")
    parser.add_argument("--samples", type=int, default=64)
    parser.add_argument("--tokens", type=int, default=160)
    parser.add_argument("--dtype", default="float32", choices=("float32", "bfloat16"), help="of llm-compressor's run")
    parser.add_argument("--theirs", type=pathlib.Path, help="what it made before, from the same samples")
    arguments = parser.parse_args()

    samples = samples_of(arguments.duan, arguments.model, arguments.calibration)
    samples = [ids[: arguments.tokens] for ids in samples[: arguments.samples]]
    with tempfile.TemporaryDirectory() as temporary:
        root = pathlib.Path(temporary)
        (root / "calibration.json").write_text(json.dumps(samples))
        held_out = judged_on(arguments.held_out, arguments.think, arguments.tokens)
        found = {}

        def judge(who, folder):
            result = json.loads(duan(arguments.duan, "eval", "kl", folder, "--reference", arguments.model, *held_out,
                                     "--compute", "fp32", "--json"))
            found[who] = result["kl"]["mean"]
            print(f"| {who} | {1000 * found[who]:.2f} | {100 * result['top1']:.2f} % | "
                  f"{found[who] / found['llm-compressor, AWQ']:.3f} |", flush=True)

        theirs = arguments.theirs
        if theirs is None:
            theirs = root / "theirs"
            by_llm_compressor(arguments.model, theirs, samples, arguments.dtype)
        print(f"{len(samples)} calibration samples, {sum(map(len, samples))} tokens\n")
        print("| who | mean KL x 1000 | same token | ratio |\n|---|---:|---:|---:|")
        judge("llm-compressor, AWQ", theirs)
        for method in METHODS:
            calibrated_on = ["--calibration", root / "calibration.json", "--samples", len(samples), "--tokens",
                             arguments.tokens] if method != "rtn" else []
            duan(arguments.duan, "quantize", arguments.model, "-o", root / "ours", "--overwrite", "--method", method,
                 "--bits", 4, "--group-size", 128, "--weight-observer", "mse", *calibrated_on)
            judge(method, root / "ours")
    theirs = found["llm-compressor, AWQ"]
    return 0 if found["awq"] <= 1.02 * theirs and found["awq-gptq"] <= 0.5 * theirs else 1


if __name__ == "__main__":
    sys.exit(main())
