"""What methods and settings of `duan quantize` cost a model: a row for each, judged by `duan eval` in fp32.

usage: weight_quality.py --model FOLDER --calibration FILE --held-out FILE [SETTING ...]
Calibration files are what `duan quantize --calibration` takes; held-out ones are dialogues (.jsonl), whose answers count,
or a list of lists of token ids (.json). A SETTING is what `duan quantize` is told, in one argument, such as
"--method awq --group-size 32"; without one, each method that rounds weights in groups is run with each observer.
--outliers gives the model outlier channels first. Needs numpy, and safetensors for --outliers.
"""

import argparse
import itertools
import json
import pathlib
import shutil
import tempfile

from duan_program import duan, judged_on

SOURCES = pathlib.Path(__file__).resolve().parents[1]
GRID = [f"--method {method} --weight-observer {observer}" for method, observer in
        itertools.product(("rtn", "awq", "gptq", "awq-gptq"), ("minmax", "mse", "imatrix"))]
OUTLIERS = 0.02  # of the channels
FACTORS = (4, 8, 16, 32)  # powers of two: no weight is rounded


def with_outliers(source, out):
    """The same function, but a few channels behind each norm are larger, and the columns that read them smaller."""
    import numpy as np
    import safetensors.torch

    shutil.copytree(source, out)
    for file in sorted(out.glob("*.safetensors")):
        weights = safetensors.torch.load_file(file)
        for name, norm in weights.items():
            if "visual" in name or not name.endswith(("input_layernorm.weight", "post_attention_layernorm.weight")):
                continue
            attention = name.endswith("input_layernorm.weight")
            readers = [f"self_attn.{p}_proj" for p in "qkv"] if attention else ["mlp.gate_proj", "mlp.up_proj"]
            # Seeded by name, so that the choice does not depend on how the model is sharded.
            chance = np.random.default_rng(list(name.encode()))
            for channel in chance.choice(len(norm), max(1, round(OUTLIERS * len(norm))), replace=False):
                factor = float(chance.choice(FACTORS))
                norm[channel] *= factor
                for reader in readers:
                    weights[f"{name.rsplit('.', 2)[0]}.{reader}.weight"][:, channel] /= factor
        safetensors.torch.save_file(weights, file, {"format": "pt"})
    return out


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--duan", default=str(SOURCES / "build/release/bin/duan"))
    parser.add_argument("--model", required=True, type=pathlib.Path)
    parser.add_argument("--calibration", required=True, type=pathlib.Path, action="append")
    parser.add_argument("--held-out", required=True, type=pathlib.Path)
    parser.add_argument("--think", default="auto", choices=("on", "off", "auto"), help="prompts of held-out dialogues")
    parser.add_argument("--ocr", type=pathlib.Path, help="questions about pictures to answer, too, as of OCRBench.json")
    parser.add_argument("--samples", type=int, default=128)
    parser.add_argument("--tokens", type=int, default=256)
    parser.add_argument("--outliers", action="store_true")
    parser.add_argument("-t", "--threads", type=int, default=0)
    parser.add_argument("setting", nargs="*", default=GRID)
    arguments = parser.parse_args()

    threads = ["-t", arguments.threads] if arguments.threads else []
    calibrated_on = ["--samples", arguments.samples, "--tokens", arguments.tokens]
    for file in arguments.calibration:
        calibrated_on += ["--calibration", file]
    held_out = judged_on(arguments.held_out, arguments.think, arguments.tokens)
    print("| | mean KL x 1000 (95 %) | same token | perplexity |" + (" right |" if arguments.ocr else ""))
    print("|---|---:|---:|---:|" + ("---:|" if arguments.ocr else ""))
    with tempfile.TemporaryDirectory() as temporary:
        root = pathlib.Path(temporary)
        model = with_outliers(arguments.model, root / "source") if arguments.outliers else arguments.model
        for setting in arguments.setting:
            duan(arguments.duan, "quantize", model, "-o", root / "out", "--overwrite", *setting.split(), *calibrated_on,
                 *threads)
            found = json.loads(duan(arguments.duan, "eval", "kl", root / "out", "--reference", model, *held_out,
                                    "--compute", "fp32", *threads, "--json"))
            low, high = found["kl"]["interval_95"]
            row = (f"| `{setting}` | {1000 * found['kl']['mean']:.2f} ({1000 * low:.2f} to {1000 * high:.2f}) | "
                   f"{100 * found['top1']:.2f} % | {found['perplexity']['value']:.4f} |")
            if arguments.ocr:
                answers = json.loads(duan(arguments.duan, "eval", "ocrbench", root / "out", "--data", arguments.ocr,
                                          *threads, "--json"))
                row += f" {answers['all']['hits']} of {answers['all']['count']} |"
            print(row, flush=True)
    print(f"\nPerplexity of the source: {found['reference_perplexity']['value']:.4f}")


if __name__ == "__main__":
    main()
