"""int8-static by duan, setting by setting, and by onnxruntime.quantization: how far are predictions from fp32?

Both see the same calibration samples and are judged on the same held-out tokens: mean KL divergence of the prediction
from fp32's, share of tokens whose most probable next token is the same, perplexity. ONNX Runtime quantizes what duan
exports (dialect onnx21, no KV cache): its linear layers (Gemm; u8 inputs, s8 weights per channel, QDQ; with quantized
outputs, as is its default, and without), embedding and attention in floating point. duan rounds the embedding, too.

usage: int8_quality.py --model FOLDER --calibration calib.json --held-out heldout.json [--samples 64] [--tokens 160]
       int8_quality.py --model FOLDER --calibration chats.jsonl --held-out heldout.jsonl [--think off]
Files are a list of lists of token ids (.json), or dialogues, {"messages": [...]} a line (.jsonl); of held-out dialogues
only the answers are predicted, as `duan eval --chat` does. Needs numpy, onnx, onnxruntime. Exits 1 if duan's default is
worse than the best of ONNX Runtime's, or its perplexity more than 1 % above fp32's.
"""

import argparse
import contextlib
import itertools
import json
import pathlib
import sys
import tempfile

import numpy as np
import onnxruntime
from duan_program import duan
from onnxruntime import quantization
from onnxruntime.quantization import calibrate

SOURCES = pathlib.Path(__file__).resolve().parents[1]
SMOOTHING = {"none": ["--no-smooth"], "alpha 0.5": ["--smooth-alpha", "0.5"], "auto": ["--smooth-alpha", "auto"]}
OBSERVERS = ("minmax", "percentile", "mse", "entropy")
CALIBRATORS = {
    "MinMax": (quantization.CalibrationMethod.MinMax, {}),
    "Percentile 99.99": (quantization.CalibrationMethod.Percentile, {"CalibPercentile": 99.99}),
    "Percentile 99.999": (quantization.CalibrationMethod.Percentile, {"CalibPercentile": 99.999}),
    "Entropy": (quantization.CalibrationMethod.Entropy, {}),
}


def take_samples_of_any_length():
    """ONNX Runtime 1.31 makes one array of what a tensor was in all samples, which unequal lengths do not become."""
    collect = calibrate.HistogramCollector.collect

    def collect_flat(self, values):
        return collect(self, {name: np.concatenate([v.ravel() for v in arrays]) for name, arrays in values.items()})

    calibrate.HistogramCollector.collect = collect_flat


class Samples(quantization.CalibrationDataReader):
    def __init__(self, folder, samples):
        self.folder, self.samples = folder, iter(samples)

    def get_next(self):
        ids = next(self.samples, None)
        return None if ids is None else self.folder.feed(ids)


class Folder:
    """What `duan export` wrote without a KV cache; the decoder of a model that sees images gets embeddings of text."""

    def __init__(self, path):
        decoder = path / "decoder_model_merged.onnx"
        self.file = decoder if decoder.exists() else path / "model.onnx"
        self.embedding = session(path / "embed_tokens.onnx") if decoder.exists() else None
        self.inputs = {i.name: i.shape for i in session(self.file).get_inputs()}

    def feed(self, ids):
        row = np.array([ids], dtype=np.int64)
        known = {"input_ids": row, "attention_mask": np.ones_like(row), "num_logits_to_keep": np.array(len(ids), dtype=np.int64),
                 "position_ids": np.broadcast_to(np.arange(len(ids)), (3, 1, len(ids))).copy()}
        if self.embedding:
            known["inputs_embeds"] = self.embedding.run(None, {"input_ids": row})[0]
            known |= {name: np.zeros_like(known["inputs_embeds"]) for name in self.inputs if name.startswith("deepstack_embeds.")}
        return {name: known[name] for name in self.inputs}


def session(file):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    # QDQ in floating point: without VNNI, the fused integer kernels may saturate, which is not what is judged here.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])


class Chats:
    """Dialogues as token ids, through the model's own template."""

    def __init__(self, program, model, think):
        self.command = (program, "template", model, "--jsonl", "--think", think)

    def encode(self, conversations):
        lines = "".join(json.dumps(conversation) + "\n" for conversation in conversations)
        answers = [json.loads(line) for line in duan(*self.command, stdin=lines).splitlines()]
        for answer in answers:
            if "ids" not in answer:
                sys.exit(f"duan template: {answer}")
        return [answer["ids"] for answer in answers]

    def whole(self, file):
        return self.encode([{**line, "add_generation_prompt": False} for line in lines_of(file)])

    def answers(self, file, stop_ids):
        """(ids, positions of the tokens an answer adds to its prompt) of each answer."""
        prompts, rendered = [], []
        for line in lines_of(file):
            for i, message in enumerate(line["messages"]):
                if message["role"] == "assistant":
                    prompts.append({**line, "messages": line["messages"][:i], "add_generation_prompt": True})
                    rendered.append({**line, "messages": line["messages"][: i + 1], "add_generation_prompt": False})
        found = []
        for prompt, ids in zip(self.encode(prompts), self.encode(rendered)):
            if ids[: len(prompt)] != prompt:
                sys.exit("a prompt is not how its answer begins; try --think on or off")
            end = next((at + 1 for at in range(len(prompt), len(ids)) if ids[at] in stop_ids), len(ids))
            found.append((ids[:end], np.arange(max(len(prompt), 1), end)))
        return found


def lines_of(file):
    return [json.loads(line) for line in file.read_text().splitlines() if line.strip()]


def stop_ids_of(model):
    file = pathlib.Path(model) / "generation_config.json"
    if not file.exists():
        file = file.with_name("config.json")
    ids = json.loads(file.read_text()).get("eos_token_id")
    return ids if isinstance(ids, list) else [ids]


class Model:
    def __init__(self, folder, file):
        self.folder, self.session = folder, session(file)

    def log_probabilities(self, ids, positions):
        """Of the tokens at `positions`: [positions, vocabulary]."""
        logits = self.session.run(["logits"], self.folder.feed(ids))[0][0][positions - 1].astype(np.float64)
        logits -= logits.max(axis=1, keepdims=True)
        return logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))


def judge(model, reference, sequences):
    """`reference`: its log probabilities of each sequence."""
    kl, same, loss = [], [], []
    for (ids, positions), p in zip(sequences, reference):
        q = model.log_probabilities(ids, positions)
        kl.append((np.exp(p) * (p - q)).sum(axis=1))
        same.append(q.argmax(axis=1) == p.argmax(axis=1))
        loss.append(-q[np.arange(len(q)), np.array(ids)[positions]])
    return np.concatenate(kl).mean(), np.concatenate(same).mean(), float(np.exp(np.concatenate(loss).mean()))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--duan", default=str(SOURCES / "build/release/bin/duan"))
    parser.add_argument("--model", required=True)
    parser.add_argument("--calibration", required=True, type=pathlib.Path)
    parser.add_argument("--held-out", required=True, type=pathlib.Path)
    parser.add_argument("--think", default="auto", choices=("on", "off", "auto"), help="prompts of held-out dialogues")
    parser.add_argument("--samples", type=int, default=64)
    parser.add_argument("--tokens", type=int, default=160)
    parser.add_argument("--only-defaults", action="store_true", help="of duan")
    parser.add_argument("--max-sequences", type=int, default=50, help="of held-out ids; dialogues are all taken")
    arguments = parser.parse_args()

    if arguments.calibration.suffix == ".jsonl":
        calibration = Chats(arguments.duan, arguments.model, "auto").whole(arguments.calibration)
    else:
        calibration = json.loads(arguments.calibration.read_text())
    calibration = [ids[: arguments.tokens] for ids in calibration[: arguments.samples]]
    held_out_chats = arguments.held_out.suffix == ".jsonl"
    if held_out_chats:
        chats = Chats(arguments.duan, arguments.model, arguments.think)
        held_out = [(ids[: arguments.tokens], positions[positions < arguments.tokens])
                    for ids, positions in chats.answers(arguments.held_out, stop_ids_of(arguments.model))]
        held_out = [(ids, positions) for ids, positions in held_out if len(positions)]
    else:
        lists = json.loads(arguments.held_out.read_text())[: arguments.max_sequences]
        lists = [ids[: arguments.tokens] for ids in lists if len(ids) > 1]
        held_out = [(ids, np.arange(1, len(ids))) for ids in lists]
    predictions = sum(len(positions) for _, positions in held_out)

    with tempfile.TemporaryDirectory() as temporary:
        root = pathlib.Path(temporary)
        (root / "calibration.json").write_text(json.dumps(calibration))
        (root / "held_out.json").write_text(json.dumps([ids for ids, _ in held_out]))
        judged_on = ["--ids", root / "held_out.json"]
        if held_out_chats:
            judged_on = ["--chat", arguments.held_out, "--think", arguments.think, "--max-tokens", arguments.tokens]
        print(f"{len(calibration)} calibration samples, {predictions} held-out predictions\n")
        print("| who | ranges | smoothing | mean KL | same token | perplexity |\n|---|---|---|---:|---:|---:|")
        results = {}

        def by_duan(observer, smoothing):
            duan(arguments.duan, "quantize", arguments.model, "-o", root / "out", "--overwrite", "--calibration",
                 root / "calibration.json", "--samples", len(calibration), "--tokens", arguments.tokens,
                 "--observer", observer, *SMOOTHING[smoothing])
            found = json.loads(duan(arguments.duan, "eval", "kl", root / "out", "--reference", arguments.model,
                                    *judged_on, "--compute", "fp32", "--json"))
            if found["tokens"] != predictions:
                sys.exit(f"duan predicted {found['tokens']} tokens, not {predictions}")
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
        folder = Folder(root / "onnx")
        fp32_model = Model(folder, folder.file)
        reference = [fp32_model.log_probabilities(*sequence) for sequence in held_out]
        theirs = {}
        take_samples_of_any_length()
        for (name, (method, extra)), outputs in itertools.product(CALIBRATORS.items(), (True, False)):
            file = root / "int8" / "model.onnx"
            file.parent.mkdir(exist_ok=True)
            with contextlib.redirect_stdout(sys.stderr):
                quantization.quantize_static(
                    str(folder.file), str(file), Samples(folder, calibration),
                    quant_format=quantization.QuantFormat.QDQ, op_types_to_quantize=["Gemm"], per_channel=True,
                    activation_type=quantization.QuantType.QUInt8, weight_type=quantization.QuantType.QInt8,
                    calibrate_method=method,
                    extra_options=extra | ({} if outputs else {"OpTypesToExcludeOutputQuantization": ["Gemm"]}))
            title = name + (", outputs, too" if outputs else "")
            theirs[title] = judge(Model(folder, file), reference, held_out)
            report("onnxruntime", title, "none", theirs[title])
        print(f"| fp32 | | | 0 | 100 % | {fp32:.4f} |")

    ours, best = results["mse", "auto"], min(theirs.values())
    print(f"\nduan's default: KL {ours[0]:.6f}, the best of ONNX Runtime's {best[0]:.6f}; "
          f"perplexity {100 * (ours[2] / fp32 - 1):+.2f} % of fp32's")
    return 0 if ours[0] <= best[0] and ours[2] <= 1.01 * fp32 else 1


if __name__ == "__main__":
    sys.exit(main())
