"""Exports every tiny model with reference outputs and runs the files where others run them.

For each model, dialect and form (with and without KV cache): onnx.checker with full shape inference; ONNX Runtime's
logits against transformers' (whole prompt, chunks of 5 + 3 + 1 + rest, left padding), 32 greedy tokens, the last
position alone; ONNX Runtime GenAI on the unmodified folder.

usage: onnx_goldens.py --duan build/release/bin/duan [--reference DIR] [--only WORD ...]
Needs numpy, safetensors, onnx, onnxruntime, onnxruntime-genai. Exits 1 if anything differs.
"""

import itertools
import json
import pathlib
import sys
import tempfile

import numpy as np
import onnx
import onnxruntime
from safetensors.numpy import load_file

from support.cases import SOURCES, Cases, Failure, check, parser, run_duan

DIALECTS = ("onnx21", "onnx23", "ort")
# Of fp16: 2 % of the standard deviation that logits have in the models with the largest (1.6 to 5.7).
TOLERANCE = {"fp32": 5e-4, "fp16": 1.14e-1}


def golden_rows(golden):
    """Positions and reference logits: of every token, or of every fourth and the last."""
    n = len(golden["input_ids"])
    logits = golden["logits"]
    if len(logits) == n:
        return list(range(n)), logits
    positions = list(range(0, n, 4))
    check(len(positions) == len(logits), f"{len(logits)} rows of logits for {n} tokens")
    return positions + [n - 1], np.concatenate([logits, golden["logits_last"].reshape(1, -1)])


class Session:
    """A decoder with or without a KV cache, fed the way its declared inputs ask for."""

    def __init__(self, folder, entries=None):
        options = onnxruntime.SessionOptions()
        for key, value in (entries or {}).items():
            options.add_session_config_entry(key, value)
        options.intra_op_num_threads = 1
        options.log_severity_level = 3
        self.session = onnxruntime.InferenceSession(
            str(folder / "model.onnx"), options, providers=["CPUExecutionProvider"])
        self.inputs = {i.name: i for i in self.session.get_inputs()}
        self.outputs = [o.name for o in self.session.get_outputs()]
        self.optional = [i.name for i in self.session.get_overridable_initializers()]
        self.has_cache = any(name.startswith("past_key_values.") for name in self.inputs)

    def empty_past(self, batch):
        past = {}
        for name, value in self.inputs.items():
            if name.startswith("past_key_values."):
                dtype = np.float16 if value.type == "tensor(float16)" else np.float32
                past[name] = np.zeros((batch, value.shape[1], 0, value.shape[3]), dtype)
        return past

    def run(self, ids, mask, past, keep=None):
        """ids [batch, tokens], mask [batch, all tokens so far] -> logits, past."""
        feeds = {"input_ids": ids, "attention_mask": mask, **past}
        if "position_ids" in self.inputs:
            positions = np.maximum(np.cumsum(mask, axis=1) - 1, 0)
            feeds["position_ids"] = positions[:, -ids.shape[1]:].astype(np.int64)
        if keep is not None:
            feeds["num_logits_to_keep"] = np.array(keep, np.int64)
        results = dict(zip(self.outputs, self.session.run(None, feeds)))
        logits = results.pop("logits")
        return logits, {name.replace("present", "past_key_values"): value for name, value in results.items()}


def feed(session, ids, chunks=None):
    """One sequence in chunks: the logits of every token and the past behind it."""
    ids = np.asarray(ids, np.int64).reshape(1, -1)
    past, rows, done = session.empty_past(1), [], 0
    for size in chunks or [ids.shape[1]]:
        size = min(size, ids.shape[1] - done)
        if size == 0:
            break
        done += size
        logits, past = session.run(ids[:, done - size:done], np.ones((1, done), np.int64), past)
        rows.append(logits[0])
    return np.concatenate(rows), past


def close(got, expected, tolerance, what):
    check(got.shape == expected.shape, f"{what}: shape {got.shape}, expected {expected.shape}")
    difference = float(np.max(np.abs(got.astype(np.float64) - expected)))
    check(difference <= tolerance, f"{what}: differs by {difference:.3g}")
    return difference


def greedy(session, ids, count):
    """`count` tokens, each the largest logit."""
    ids, found = [int(i) for i in ids], []
    logits, past = feed(session, ids)
    while True:
        found.append(int(np.argmax(logits[-1])))
        if len(found) == count:
            return found
        if not session.has_cache:
            logits, _ = feed(session, ids + found)
            continue
        total = len(ids) + len(found)
        step, past = session.run(np.array([[found[-1]]], np.int64), np.ones((1, total), np.int64), past)
        logits = step[0]


def check_padding(session, ids, tolerance):
    """Two sequences of different length in one batch, the shorter padded on the left, then one more token each."""
    ids = [int(i) for i in ids][:12]
    if len(ids) < 3:
        return
    short = ids[1:]
    rows = np.array([[0] + short, ids], np.int64)
    mask = np.ones_like(rows)
    mask[0, 0] = 0
    logits, past = session.run(rows, mask, session.empty_past(2))
    close(logits[0, 1:], feed(session, short)[0], tolerance, "padded row of a batch")
    close(logits[1], feed(session, ids)[0], tolerance, "full row of a batch")
    if session.has_cache:
        mask = np.concatenate([mask, np.ones((2, 1), np.int64)], axis=1)
        logits, _ = session.run(np.array([[5], [5]], np.int64), mask, past)
        close(logits[0], feed(session, short + [5])[0][-1:], tolerance, "padded row, next token")
        close(logits[1], feed(session, ids + [5])[0][-1:], tolerance, "full row, next token")


def check_genai(folder, golden):
    import onnxruntime_genai

    config = json.loads((folder / "genai_config.json").read_text())
    eos = set(config["model"]["eos_token_id"])
    expected = [int(i) for i in golden["greedy_ids"]]
    stop = next((i + 1 for i, token in enumerate(expected) if token in eos), len(expected))
    model = onnxruntime_genai.Model(str(folder))
    parameters = onnxruntime_genai.GeneratorParams(model)
    n = len(golden["input_ids"])
    parameters.set_search_options(max_length=n + len(expected), do_sample=False)
    generator = onnxruntime_genai.Generator(model, parameters)
    generator.append_tokens(golden["input_ids"].astype(np.int32))
    found = []
    while not generator.is_done() and len(found) < stop:
        generator.generate_next_token()
        found.append(int(generator.get_next_tokens()[0]))
    check(found == expected[:stop], f"GenAI: {found}, expected {expected[:stop]}")


def check_folder(folder, dialect, precision, goldens):
    onnx.checker.check_model(str(folder / "model.onnx"), full_check=True)
    session = Session(folder)
    tolerance = TOLERANCE[precision]
    worst = 0.0
    for name, golden in goldens.items():
        try:
            positions, expected = golden_rows(golden)
            logits, _ = feed(session, golden["input_ids"])
            worst = max(worst, close(logits[positions], expected, tolerance, "logits"))
            if session.has_cache:
                chunked, _ = feed(session, golden["input_ids"], [5, 3, 1, 10_000])
                worst = max(worst, close(chunked[positions], expected, tolerance, "logits in chunks of 5 + 3 + 1"))
            if precision == "fp32":
                wanted = [int(i) for i in golden["greedy_ids"]]
                found = greedy(session, golden["input_ids"], len(wanted))
                check(found == wanted, f"greedy ids {found}, expected {wanted}")
            if dialect != "ort":
                check_padding(session, golden["input_ids"], tolerance)
            ids = golden["input_ids"].astype(np.int64).reshape(1, -1)
            last, _ = session.run(ids, np.ones_like(ids), session.empty_past(1), keep=1)
            check(last.shape[1] == 1, f"num_logits_to_keep = 1 gave {last.shape}")
            close(last[0, 0], logits[-1], 1e-4 if precision == "fp32" else tolerance, "the last position alone")
            if session.has_cache and precision == "fp32":
                check_genai(folder, golden)
        except Failure as failure:
            raise Failure(f"{name}: {failure}") from None
    return worst


def models(reference):
    """name -> (folder, {case: golden})."""
    found = {}
    own = SOURCES / "tests" / "data" / "models"
    for folder in sorted(own.iterdir()):
        if (folder / "model.safetensors").exists():
            found[f"own/{folder.name}"] = (folder, sorted((folder / "goldens").glob("*.safetensors")))
    if reference:
        root = pathlib.Path(reference) / "golden" / "models"
        for name, entry in json.loads((root / "text_index.json").read_text()).items():
            if name != "qwen3-moe":
                files = [root / case["file"] for case in entry["cases"].values()]
                found[name] = (root / entry["model"], files)
    return found


def check_export(duan, model, files, dialect, precision, cache):
    goldens = {file.stem: load_file(file) for file in files}
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary) / "out"
        run_duan(duan, "export", model, "-o", folder, "--dialect", dialect, "--precision", precision,
                 *([] if cache else ["--no-kv-cache"]))
        worst = check_folder(folder, dialect, precision, goldens)
    return f"{len(goldens)} cases, at most {worst:.2g} from transformers"


def main():
    options = parser(__doc__)
    options.add_argument("--precision", nargs="*", default=["fp32", "fp16"], choices=["fp32", "fp16"])
    arguments = options.parse_args()

    cases = Cases(arguments.only)
    forms = itertools.product(models(arguments.reference).items(), DIALECTS, (True, False), arguments.precision)
    for (name, (model, files)), dialect, cache, precision in forms:
        title = f"{name} {dialect} {precision} {'kv' if cache else 'no-kv'}"
        if cases.wants(title):
            cases.run(title, lambda: check_export(arguments.duan, model, files, dialect, precision, cache))
    return cases.finish("exports")


if __name__ == "__main__":
    sys.exit(main())
