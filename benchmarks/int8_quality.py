"""int8-static by duan, setting by setting, and by onnxruntime.quantization: how far are predictions from fp32?

Both see the same calibration samples and are judged on the same held-out tokens: mean KL divergence of the prediction
from fp32's, share of tokens whose most probable next token is the same, perplexity. ONNX Runtime quantizes what duan
exports (dialect onnx21, no KV cache): its linear layers (Gemm; u8 inputs, s8 weights per channel, QDQ; with quantized
outputs, as is its default, and without), embedding and attention in floating point. duan rounds the embedding, too.

usage: int8_quality.py --model FOLDER --calibration calib.json --held-out heldout.json [--samples 64] [--tokens 160]
Both files: a list of lists of token ids. Needs numpy, onnx, onnxruntime. Exits 1 if duan's default is worse than the
best of ONNX Runtime's, or its perplexity more than 1 % above fp32's.
"""

import argparse
import itertools
import json
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import onnxruntime
from onnxruntime import quantization

SOURCES = pathlib.Path(__file__).resolve().parents[1]
SMOOTHING = {"none": ["--no-smooth"], "alpha 0.5": ["--smooth-alpha", "0.5"], "auto": ["--smooth-alpha", "auto"]}
OBSERVERS = ("minmax", "percentile", "mse", "entropy")
CALIBRATORS = {
    "MinMax": (quantization.CalibrationMethod.MinMax, {}),
    "Percentile 99.99": (quantization.CalibrationMethod.Percentile, {"CalibPercentile": 99.99}),
    "Percentile 99.999": (quantization.CalibrationMethod.Percentile, {"CalibPercentile": 99.999}),
    "Entropy": (quantization.CalibrationMethod.Entropy, {}),
}


def duan(program, *arguments):
    done = subprocess.run([program, *map(str, arguments)], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"duan {arguments[0]}: {done.stderr}")
    return done.stdout


class Samples(quantization.CalibrationDataReader):
    def __init__(self, samples):
        self.samples = iter(samples)

    def get_next(self):
        ids = next(self.samples, None)
        return None if ids is None else feed(ids)


def feed(ids):
    row = np.array([ids], dtype=np.int64)
    return {"input_ids": row, "attention_mask": np.ones_like(row)}


class Model:
    def __init__(self, file):
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        # QDQ in floating point: without VNNI, the fused integer kernels may saturate, which is not what is judged here.
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        self.session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])

    def log_probabilities(self, ids):
        wanted = {i.name for i in self.session.get_inputs()}
        feeds = {name: value for name, value in feed(ids).items() if name in wanted}
        if "num_logits_to_keep" in wanted:
            feeds["num_logits_to_keep"] = np.array(len(ids), dtype=np.int64)
        logits = self.session.run(["logits"], feeds)[0][0].astype(np.float64)
        logits -= logits.max(axis=1, keepdims=True)
        return logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))


def judge(model, reference, sequences):
    kl, same, loss = [], [], []
    for ids in sequences:
        q, p = model.log_probabilities(ids)[:-1], reference.log_probabilities(ids)[:-1]
        kl.append((np.exp(p) * (p - q)).sum(axis=1))
        same.append(q.argmax(axis=1) == p.argmax(axis=1))
        loss.append(-q[np.arange(len(q)), ids[1:]])
    return np.concatenate(kl).mean(), np.concatenate(same).mean(), float(np.exp(np.concatenate(loss).mean()))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--duan", default=str(SOURCES / "build/release/bin/duan"))
    parser.add_argument("--model", required=True)
    parser.add_argument("--calibration", required=True)
    parser.add_argument("--held-out", required=True)
    parser.add_argument("--samples", type=int, default=64)
    parser.add_argument("--tokens", type=int, default=160)
    parser.add_argument("--only-defaults", action="store_true", help="of duan")
    parser.add_argument("--max-sequences", type=int, default=50)
    arguments = parser.parse_args()

    calibration = json.loads(pathlib.Path(arguments.calibration).read_text())
    calibration = [ids[: arguments.tokens] for ids in calibration[: arguments.samples]]
    held_out = json.loads(pathlib.Path(arguments.held_out).read_text())[: arguments.max_sequences]
    held_out = [ids[: arguments.tokens] for ids in held_out if len(ids) > 1]

    with tempfile.TemporaryDirectory() as temporary:
        root = pathlib.Path(temporary)
        (root / "calibration.json").write_text(json.dumps(calibration))
        (root / "held_out.json").write_text(json.dumps(held_out))
        print("| who | ranges | smoothing | mean KL | same token | perplexity |\n|---|---|---|---:|---:|---:|")
        results = {}

        def by_duan(observer, smoothing):
            duan(arguments.duan, "quantize", arguments.model, "-o", root / "out", "--overwrite", "--calibration",
                 root / "calibration.json", "--samples", len(calibration), "--tokens", arguments.tokens,
                 "--observer", observer, *SMOOTHING[smoothing])
            found = json.loads(duan(arguments.duan, "eval", "kl", root / "out", "--reference", arguments.model, "--ids",
                                    root / "held_out.json", "--compute", "fp32", "--json"))
            results[observer, smoothing] = found["kl"]["mean"], found["top1"], found["perplexity"]["value"]
            report("duan", observer, smoothing, results[observer, smoothing])
            return found["reference_perplexity"]["value"]

        def report(who, ranges, smoothing, result):
            print(f"| {who} | {ranges} | {smoothing} | {result[0]:.6f} | {100 * result[1]:.2f} % | {result[2]:.4f} |",
                  flush=True)

        for smoothing in SMOOTHING:
            for observer in OBSERVERS:
                if not arguments.only_defaults or (observer, smoothing) == ("mse", "auto"):
                    fp32 = by_duan(observer, smoothing)

        duan(arguments.duan, "export", arguments.model, "-o", root / "onnx", "--dialect", "onnx21", "--no-kv-cache")
        reference = Model(root / "onnx" / "model.onnx")
        theirs = {}
        for (name, (method, extra)), outputs in itertools.product(CALIBRATORS.items(), (True, False)):
            file = root / "int8" / "model.onnx"
            file.parent.mkdir(exist_ok=True)
            quantization.quantize_static(
                str(root / "onnx" / "model.onnx"), str(file), Samples(calibration),
                quant_format=quantization.QuantFormat.QDQ, op_types_to_quantize=["Gemm"], per_channel=True,
                activation_type=quantization.QuantType.QUInt8, weight_type=quantization.QuantType.QInt8,
                calibrate_method=method,
                extra_options=extra | ({} if outputs else {"OpTypesToExcludeOutputQuantization": ["Gemm"]}))
            title = name + (", outputs, too" if outputs else "")
            theirs[title] = judge(Model(file), reference, held_out)
            report("onnxruntime", title, "none", theirs[title])
        print(f"| fp32 | | | 0 | 100 % | {fp32:.4f} |")

    ours, best = results["mse", "auto"], min(theirs.values())
    print(f"\nduan's default: KL {ours[0]:.6f}, the best of ONNX Runtime's {best[0]:.6f}; "
          f"perplexity {100 * (ours[2] / fp32 - 1):+.2f} % of fp32's")
    return 0 if ours[0] <= best[0] and ours[2] <= 1.01 * fp32 else 1


if __name__ == "__main__":
    sys.exit(main())
