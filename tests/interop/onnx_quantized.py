"""Exports tiny quantized checkpoints and holds ONNX Runtime's logits against duan's own.

Each tiny model of tests/data is rounded here, with numpy, to every form of weights that duan reads: int8 with static,
dynamic or no rounding of inputs, groups of 4 and 8 bits, symmetric or not, also for a tied embedding. Each is exported
in each dialect, with and without KV cache. Checked: onnx.checker with full shape inference; that no quantized product
is left to be computed on floats; the logits of `duan compare`; chunks against the whole; ONNX Runtime GenAI on the
unmodified folder against ONNX Runtime itself.

usage: onnx_quantized.py --duan build/release/bin/duan [--only WORD ...]
Needs ml_dtypes and what onnx_goldens.py needs. Exits 1 if anything differs.
"""

import itertools
import json
import pathlib
import shutil
import sys
import tempfile

import ml_dtypes
import numpy as np
import onnx
import onnxruntime
from safetensors.numpy import load_file, save_file

from onnx_goldens import DIALECTS, Session, check_genai, close, feed, greedy
from support.cases import SOURCES, Cases, check, parser, run_duan

# Without rounded inputs the two differ by the order of float sums. With them the products themselves are exact, but a
# last digit that differs before the rounding can move a code by one, which is a step of 1/127 of the largest input.
# Such a step may show in a logit (as 0.121 in qwen2); over all logits it must drown. In fp16 many codes move, and the
# norm alone says much.
TOLERANCE = {"fp32": {"weights": (5e-4, 1e-4), "inputs": (0.15, 1e-2)},
             "fp16": {"weights": (6e-2, 1e-2), "inputs": (2, 6e-2)}}  # largest difference, relative norm
# As ONNX Runtime is to be told: exact int8 products also without VNNI; no rounding of inputs that the model does not
# ask for (the default, 4, rounds them to int8: what that costs is checked apart).
EXACT = {"session.x64quantprecision": "1", "session.qdq_matmulnbits_accuracy_level": "0"}


def matrices(tensors):
    """Names of modules with a matrix, without ".weight"."""
    return [name.removesuffix(".weight") for name, value in tensors.items() if value.ndim == 2]


def round_channels(weight, scale_dtype):
    weight = weight.astype(np.float32)
    scale = np.maximum(np.abs(weight).max(axis=1, keepdims=True) / 127.5, 1e-8).astype(scale_dtype)
    codes = np.clip(np.rint(weight / scale.astype(np.float32)), -128, 127).astype(np.int8)
    return {"weight": codes, "weight_scale": scale}


def pack(codes, bits):
    """Unsigned codes [rows, columns] -> words i32 [rows, ceil(columns * bits / 32)], low end first."""
    per_word = 32 // bits
    padded = np.zeros((codes.shape[0], -(-codes.shape[1] // per_word) * per_word), np.uint32)
    padded[:, :codes.shape[1]] = codes
    lanes = padded.reshape(codes.shape[0], -1, per_word) << (np.arange(per_word, dtype=np.uint32) * bits)
    return np.bitwise_or.reduce(lanes, axis=2).astype(np.uint32).view(np.int32)


def round_groups(weight, bits, group, symmetric, scale_dtype):
    rows, columns = weight.shape
    group = group or columns
    half = 1 << (bits - 1)
    blocks = weight.astype(np.float32).reshape(rows, columns // group, group)
    low, high = np.minimum(blocks.min(axis=2), 0), np.maximum(blocks.max(axis=2), 0)
    scale = np.maximum(-low, high) / (half - 0.5) if symmetric else (high - low) / (2 * half - 1)
    scale = np.maximum(scale, 1e-8).astype(scale_dtype)
    step = scale.astype(np.float32)
    zero = np.zeros_like(step) if symmetric else np.clip(np.rint(-half - low / step), -half, half - 1)
    codes = np.clip(np.rint(blocks / step[..., None] + zero[..., None]), -half, half - 1) + half
    found = {"weight_packed": pack(codes.reshape(rows, columns).astype(np.uint32), bits),
             "weight_scale": scale, "weight_shape": np.array([rows, columns], np.int64)}
    if not symmetric:
        found["weight_zero_point"] = np.ascontiguousarray(pack((zero + half).T.astype(np.uint32), bits).T)
    return found


def input_ranges(duan, model, ids, temporary):
    """Smallest and largest input of each linear module: {module: (low, high)}."""
    folder = temporary / "plain"
    run_duan(duan, "export", model, "-o", folder, "--dialect", "onnx21", "--no-kv-cache")
    graph = onnx.load(str(folder / "model.onnx"))
    products = {node.name: node.input[0] for node in graph.graph.node if node.op_type == "Gemm"}
    for name in sorted(set(products.values())):
        graph.graph.output.append(onnx.ValueInfoProto(name=name))
    session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    values = dict(zip(names, session.run(None, {"input_ids": ids, "attention_mask": np.ones_like(ids)})))
    shutil.rmtree(folder)
    return {module: (float(values[x].min()), float(values[x].max())) for module, x in products.items()}


def input_parameters(low, high, symmetric):
    if symmetric:
        return {"input_scale": np.array([max(-low, high) / 127.5], np.float32)}
    scale = np.float32((high - low) / 255)
    return {"input_scale": np.array([scale], np.float32),
            "input_zero_point": np.array([np.clip(np.rint(-128 - low / scale), -128, 127)], np.int8)}


# name -> (model, settings). bits and group of weights (group None: a scale a channel, int-quantized; 0: a scale a
# channel, packed), how inputs are rounded, whether the embedding is quantized, too.
FORMS = {
    "static": ("qwen3-untied", {"inputs": "static"}),
    "static, asymmetric inputs, f32 scales": ("qwen2", {"inputs": "static", "asymmetric": True, "scales": np.float32}),
    "static, tied": ("qwen3-tied", {"inputs": "static", "embedding": True}),
    "static, the tied head on floats": ("qwen3-tied", {"inputs": "static", "embedding": True, "head": False}),
    "dynamic": ("qwen2", {"inputs": "dynamic"}),
    "dynamic, tied, f16 scales": ("qwen3-tied", {"inputs": "dynamic", "embedding": True, "scales": np.float16}),
    "int8 weights": ("llama3", {}),
    "int8 weights, tied": ("qwen2", {"embedding": True}),
    "8 bits": ("qwen3-untied", {"bits": 8, "group": 16}),
    "8 bits, asymmetric": ("qwen2", {"bits": 8, "group": 16, "asymmetric": True}),
    "8 bits, tied": ("qwen3-tied", {"bits": 8, "group": 16, "embedding": True}),
    "8 bits, tied, asymmetric, groups of 8": ("qwen3-tied", {"bits": 8, "group": 8, "embedding": True,
                                                             "asymmetric": True}),
    "4 bits": ("qwen3-untied", {"bits": 4, "group": 16}),
    "4 bits, asymmetric": ("qwen2", {"bits": 4, "group": 16, "asymmetric": True}),
    "4 bits, tied": ("qwen3-tied", {"bits": 4, "group": 16, "embedding": True, "scales": np.float16}),
    "4 bits, tied, asymmetric": ("qwen3-tied", {"bits": 4, "group": 16, "embedding": True, "asymmetric": True}),
    "4 bits, tied, groups of 8": ("qwen3-tied", {"bits": 4, "group": 8, "embedding": True}),
    "4 bits, a scale a channel": ("llama3", {"bits": 4, "group": 0}),
    "4 bits, a scale a channel, asymmetric": ("qwen2", {"bits": 4, "group": 0, "asymmetric": True}),
}


def quantize(duan, source, folder, temporary, bits=8, group=None, inputs=None, embedding=False, asymmetric=False,
             scales=ml_dtypes.bfloat16, head=True):
    """Writes `source` rounded to the form as a compressed-tensors checkpoint."""
    tensors = load_file(source / "model.safetensors")
    config = json.loads((source / "config.json").read_text())
    tied = config.get("tie_word_embeddings", False)
    if tied:
        tensors.pop("lm_head.weight", None)  # a decoy that transformers ignores, too
    ids = load_file(source / "goldens" / "n40.safetensors")["input_ids"].astype(np.int64).reshape(1, -1)
    ranges = input_ranges(duan, source, ids, temporary) if inputs == "static" else {}
    chosen = [m for m in matrices(tensors) if "embed_tokens" not in m or embedding]
    for module in chosen:
        weight = tensors.pop(module + ".weight")
        if group is None:
            parts = round_channels(weight, scales)
        else:
            parts = round_groups(weight, bits, group, not asymmetric, scales)
        # A tied head's input is described under its own name.
        read_as = "lm_head" if tied and "embed_tokens" in module else module
        if inputs == "static" and (head or "layers" in module):
            measured = ranges[module] if module in ranges else ranges[next(m for m in ranges if "layers" not in m)]
            for part, value in input_parameters(*measured, not asymmetric).items():
                tensors[f"{read_as}.{part}"] = value
        tensors.update({f"{module}.{part}": value for part, value in parts.items()})
    weights = {"num_bits": bits, "type": "int", "symmetric": group is None or not asymmetric, "dynamic": False,
               "strategy": "group" if group else "channel"}
    if group:
        weights["group_size"] = group
    activations = None
    if inputs:
        activations = {"num_bits": 8, "type": "int", "symmetric": inputs == "dynamic" or not asymmetric,
                       "dynamic": inputs == "dynamic", "strategy": "token" if inputs == "dynamic" else "tensor"}
    stored_as = "int-quantized" if group is None else "pack-quantized"
    groups = {"group_0": {"targets": ["Linear"], "weights": weights, "input_activations": activations,
                          "format": stored_as}}
    if embedding:
        groups["group_1"] = {"targets": ["Embedding"], "weights": weights, "input_activations": None,
                             "format": stored_as}
    config["quantization_config"] = {
        "quant_method": "compressed-tensors", "format": stored_as, "quantization_status": "compressed",
        "config_groups": groups, "ignore": ["lm_head"] if tied and not (embedding and head) else []}
    folder.mkdir()
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    (folder / "config.json").write_text(json.dumps(config))


class ExactSession(Session):
    """On a copy of the model whose MatMulNBits do not round their inputs."""

    def __init__(self, folder):
        model = onnx.load(str(folder / "model.onnx"))
        for node in model.graph.node:
            if node.op_type == "MatMulNBits":
                for attribute in node.attribute:
                    if attribute.name == "accuracy_level":
                        attribute.i = 0
        with tempfile.TemporaryDirectory() as temporary:
            onnx.save(model, f"{temporary}/model.onnx")
            super().__init__(pathlib.Path(temporary), EXACT)


def left_on_floats(folder):
    """The products with a quantized weight that ONNX Runtime computes on floats."""
    optimized = folder / "optimized.onnx"
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.optimized_model_filepath = str(optimized)
    onnxruntime.InferenceSession(str(folder / "model.onnx"), options, providers=["CPUExecutionProvider"])
    nodes = onnx.load(str(optimized), load_external_data=False).graph.node
    optimized.unlink()
    unpacked = {node.output[0] for node in nodes if node.op_type == "DequantizeLinear"}
    return [node.name for node in nodes if node.op_type in ("MatMul", "Gemm", "FusedMatMul", "MatMulInteger")
            and (node.op_type == "MatMulInteger" or unpacked.intersection(node.input))]


def judge(duan, model, golden, tolerance, relative):
    found = json.loads(run_duan(duan, "compare", model, golden, "--engine", "native", "--compute", "fp32", "--tol",
                                tolerance, "--json"))
    check(found["ok"], f"duan's logits differ by {found['max_abs']:.3g}")
    check(found["rel_l2"] <= relative, f"duan's logits differ by {found['rel_l2']:.3g} of their norm")
    return found["max_abs"]


def check_export(duan, model, dialect, precision, cache, settings, temporary):
    folder = temporary / "out"
    run_duan(duan, "export", model, "-o", folder, "--overwrite", "--dialect", dialect, "--precision", precision,
             *([] if cache else ["--no-kv-cache"]))
    onnx.checker.check_model(str(folder / "model.onnx"), full_check=True)
    # Groups of 8 are no block that the fast kernels take.
    slow = left_on_floats(folder)
    check(not slow or settings.get("group") == 8, f"computed on floats: {slow}")
    ids = load_file(SOURCES / "tests/data/models" / model.name / "goldens/n40.safetensors")["input_ids"]
    session = ExactSession(folder)
    logits, _ = feed(session, ids)
    golden = temporary / "golden.safetensors"
    save_file({"input_ids": ids.astype(np.int64), "logits": logits.astype(np.float32)}, golden)
    rounded = "inputs" in settings
    tolerance, norm = TOLERANCE[precision]["inputs" if rounded else "weights"]
    worst = judge(duan, model, golden, tolerance, norm)
    if session.has_cache:
        # Chunks change the order of sums in attention, no more.
        close(feed(session, ids, [5, 3, 1, 10_000])[0], logits, tolerance, "logits in chunks")
    # As users will run it.
    plain = Session(folder, {"session.x64quantprecision": "1"} if rounded else {})
    as_is, _ = feed(plain, ids)
    relative = float(np.linalg.norm(as_is - logits) / np.linalg.norm(logits))
    check(relative < 0.06, f"ONNX Runtime's own rounding moves the logits by {relative:.2g} of their norm")
    if dialect == "ort" and session.has_cache and precision == "fp32":
        check_genai(folder, {"input_ids": ids, "greedy_ids": greedy(plain, ids, 24)})
    return f"at most {worst:.2g} from duan; as ONNX Runtime rounds, {relative:.2g} of the norm"


def main():
    arguments = parser(__doc__).parse_args()  # the models are those of tests/data; --reference has none of these forms

    cases = Cases(arguments.only)
    for name, (source, settings) in FORMS.items():
        forms = [(dialect, precision, cache) for dialect, precision, cache
                 in itertools.product(DIALECTS, ("fp32", "fp16"), (True, False)) if precision == "fp32" or cache]
        titles = {form: f"{name}: {source} {form[0]} {form[1]} {'kv' if form[2] else 'no-kv'}" for form in forms}
        titles = {form: title for form, title in titles.items() if cases.wants(title)}
        if not titles:
            continue
        with tempfile.TemporaryDirectory() as folder:
            temporary = pathlib.Path(folder)
            model = temporary / source
            quantize(arguments.duan, SOURCES / "tests/data/models" / source, model, temporary, **settings)
            for form, title in titles.items():
                cases.run(title, lambda: check_export(arguments.duan, model, *form, settings, temporary))
    return cases.finish("exports")


if __name__ == "__main__":
    sys.exit(main())
