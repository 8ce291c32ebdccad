"""Quantizes models in every way and loads the folders in transformers with compressed-tensors.

For each model and kind: no missing and no unexpected keys, the modules that should hold integers do, and transformers'
logits in fp32 are those of `duan compare` on the same folder, up to a relative difference (Euclidean, all logits) of
1e-5 where only weights are rounded. Where inputs are, too, a number on the border of two codes falls to one or the other
with the last bit of a sum, and every later layer rounds something else: there the bar is 5e-3, or three times what transformers
differs by from itself if that is more, at most over several runs in fp64 whose embeddings differ by as much as sums in fp32 do.

What the installed versions are known to get wrong is worked around and said in the line of the case (support/loading.py).
Where transformers multiplies in the scales' bf16 (dequantize=True), the weights are replaced by compressed-tensors' own in
fp32.

usage: quantized_checkpoints.py --duan build/release/bin/duan [--reference DIR] [--only WORD ...]
Needs torch, transformers, compressed-tensors, safetensors. Exits 1 if anything differs.
"""

import json
import os
import pathlib
import sys
import tempfile

os.environ.setdefault("TQDM_DISABLE", "1")

import torch
from compressed_tensors.compressors import PackedQuantizationCompressor
from compressed_tensors.quantization import QuantizationScheme
from safetensors.torch import save_file
from transformers.utils import logging

from support.cases import SOURCES, Cases, check, parser, run_duan
from support.loading import dequantizes, dtypes_in, load, readable_source, tensor_in

CALIBRATED = "CALIBRATED"  # stands for --calibration and its file
GROUP = "GROUP"  # for a group size that divides the columns of every matrix
BUDGET = "BUDGET"  # for a share of the weights that the model can be brought to
KINDS = {
    "int8-static": [CALIBRATED],
    "int8-static, alpha 0.5": [CALIBRATED, "--smooth-alpha", "0.5", "--observer", "minmax"],
    "int8-static, plain": [CALIBRATED, "--no-smooth"],
    "int8-static, ends kept": [CALIBRATED, "--keep", "embed_tokens|lm_head"],
    "int8-static, some kept": [CALIBRATED, "--keep", r"layers\.0\.mlp\.down|q_proj"],
    "int8-static, budget": [CALIBRATED, "--budget", BUDGET],
    "int8-static, sharded": [CALIBRATED, "--max-shard-size", "30KB"],
    "int8-dynamic": ["--method", "int8-dynamic"],
    "int8-dynamic, smoothed": ["--method", "int8-dynamic", CALIBRATED],
    "rtn 4": ["--method", "rtn", "--bits", "4", "--group-size", GROUP],
    "rtn 4 asymmetric": ["--method", "rtn", "--bits", "4", "--group-size", GROUP, "--asymmetric"],
    "rtn 4 channel": ["--method", "rtn", "--bits", "4", "--group-size", "-1"],
    "rtn 8": ["--method", "rtn", "--bits", "8", "--group-size", GROUP],
    "rtn 8 asymmetric": ["--method", "rtn", "--bits", "8", "--group-size", GROUP, "--asymmetric"],
    "awq": ["--method", "awq", CALIBRATED, "--group-size", GROUP],
    "awq asymmetric": ["--method", "awq", CALIBRATED, "--group-size", GROUP, "--asymmetric", "--duo-scaling", "both"],
    "gptq": ["--method", "gptq", CALIBRATED, "--group-size", GROUP, "--weight-observer", "imatrix"],
    "awq-gptq asymmetric": ["--method", "awq-gptq", CALIBRATED, "--group-size", GROUP, "--asymmetric"],
    "awq 8, some kept": ["--method", "awq", CALIBRATED, "--group-size", GROUP, "--bits", "8", "--keep", "k_proj|up_proj"],
    "rtn 4 sharded": ["--method", "rtn", "--bits", "4", "--group-size", GROUP, "--max-shard-size", "30KB"],
}


def set_weights(model, folder, modules):
    """Gives the modules the weights that compressed-tensors decompresses in fp32."""
    group = json.loads((folder / "config.json").read_text())["quantization_config"]["config_groups"]["group_0"]
    scheme = QuantizationScheme.model_validate(group)
    for module in modules:
        parts = {part: tensor_in(folder, f"{module}.{part}")
                 for part in ("weight_packed", "weight_scale", "weight_zero_point", "weight_shape")}
        parts["weight_scale"] = parts["weight_scale"].float()
        model.get_submodule(module).weight.data = PackedQuantizationCompressor.decompress(parts, scheme)["weight"]


def own_difference(model, ids, logits):
    """The largest relative difference of the logits in fp64 from `logits`, over eight nearly equal inputs."""
    generator = torch.Generator().manual_seed(1)
    stir = lambda module, inputs, out: out * (1 + 1e-6 * torch.randn(out.shape, generator=generator, dtype=out.dtype))
    handle = model.double().get_input_embeddings().register_forward_hook(stir)
    with torch.no_grad():
        runs = [model(ids[None]).logits[0] for _ in range(8)]
    handle.remove()
    return max(float((logits - wide).norm() / wide.norm()) for wide in runs)


def check_folder(program, folder, kind, ids, golden):
    model, workarounds = load(folder)
    dequantized = dequantizes(workarounds)
    report = json.loads((folder / "quantization_report.json").read_text())
    quantized = {m["module"] for m in report["modules"] if "kept" not in m}
    integers = {name.rsplit(".", 1)[0] for name, dtype in dtypes_in(folder).items()
                if dtype in ("I8",) or name.endswith(".weight_packed")}
    check(integers == quantized, f"integers in {sorted(integers ^ quantized)[:5]}")
    marked = {name for name, module in model.named_modules() if hasattr(module, "quantization_scheme")}
    tied = model.config.tie_word_embeddings
    wanted = quantized | ({"lm_head"} if tied and any(name.endswith("embed_tokens") for name in quantized) else set())
    check(dequantized or marked == wanted, f"transformers quantizes {sorted(marked ^ wanted)[:5]}")

    if dequantized:
        set_weights(model, folder, quantized)
    with torch.no_grad():
        logits = model(ids[None]).logits[0].float()
    check(bool(torch.isfinite(logits).all()), "logits are not finite")
    save_file({"input_ids": ids, "logits": logits.contiguous()}, golden)
    compared = json.loads(run_duan(program, "compare", folder, golden, "--compute", "fp32", "--json"))
    difference = compared["cases"][0]["rel_l2"] if "cases" in compared else compared["rel_l2"]
    bar = 1e-5
    if not kind.startswith("rtn"):
        bar = max(5e-3, 3 * own_difference(model, ids, logits))
    check(difference <= bar, f"logits differ by {difference:.2g}, at most {bar:.2g} is allowed")
    return "; ".join([f"logits within {difference:.2g} (bar {bar:.2g})", *workarounds])


def models(reference):
    own = SOURCES / "tests" / "data" / "models"
    found = {folder.name: folder for folder in sorted(own.iterdir()) if (folder / "model.safetensors").exists()}
    found["demo"] = SOURCES / "models" / "demo"
    if reference:
        found["tinychat"] = pathlib.Path(reference) / "data" / "qwen3-tinychat" / "hf"
        for name in ("qwen3_tied", "qwen3_untied_mha"):
            found[name] = pathlib.Path(reference) / "golden" / "awq" / name / "src"
    return found


def check_kind(program, source, kind, samples, group, ids):
    with tempfile.TemporaryDirectory() as temporary:
        root = pathlib.Path(temporary)
        calibration, folder = root / "calibration.json", root / "out"
        source = readable_source(source, root / "source")
        calibration.write_text(json.dumps(samples.tolist()))
        budget = 85 if (source / "preprocessor_config.json").exists() else 70  # a vision tower stays as it is
        meanings = {CALIBRATED: ["--calibration", calibration, "--samples", len(samples)], GROUP: [group], BUDGET: [budget]}
        flags = [part for flag in KINDS[kind] for part in meanings.get(flag, [flag])]
        run_duan(program, "quantize", source, "-o", folder, *flags)
        shards = len(list(folder.glob("*.safetensors")))
        check(("sharded" not in kind) == (shards == 1), f"{shards} shards")
        return check_folder(program, folder, kind, ids, root / "golden.safetensors")


def main():
    arguments = parser(__doc__).parse_args()
    logging.set_verbosity_error()
    logging.disable_progress_bar()

    cases = Cases(arguments.only)
    for name, source in models(arguments.reference).items():
        config = json.loads((source / "config.json").read_text())
        config = config.get("text_config", config)
        generator = torch.Generator().manual_seed(1)
        draw = lambda *shape: torch.randint(config["vocab_size"], shape, generator=generator)
        samples, ids = draw(8, 64), draw(48)
        widths = config["hidden_size"], config["intermediate_size"]
        group = next(size for size in (64, 32, 16) if all(width % size == 0 for width in widths))
        for kind in KINDS:
            title = f"{name}: {kind}"
            if cases.wants(title):
                cases.run(title, lambda: check_kind(arguments.duan, source, kind, samples, group, ids))
    return cases.finish("checkpoints")


if __name__ == "__main__":
    sys.exit(main())
