"""Converts AutoAWQ and GPTQ checkpoints with duan and loads the result in transformers with compressed-tensors.

The sources are made here: the projections of a model are rounded in torch and packed as AutoAWQ and GPTQ pack them. For
each: `duan verify --for transformers` is content, transformers sees no missing and no unexpected keys, and its logits in
fp32 are those of `duan compare` on the source and on the output, up to a relative difference of 2e-3. So are transformers'
own on what `duan convert --dequantize f32` makes of the source.

What the installed versions are known to get wrong is worked around and said in the line of the case (support/loading.py).
Where transformers multiplies in the f16 of the scales (dequantize=True), weights are the packed ones up to its rounding.

usage: converted_checkpoints.py --duan build/release/bin/duan [--reference DIR] [--only WORD ...]
Needs torch, transformers, compressed-tensors, safetensors. Exits 1 if anything differs.
"""

import json
import os
import pathlib
import shutil
import sys
import tempfile

os.environ.setdefault("TQDM_DISABLE", "1")

import torch
from safetensors.torch import load_file, save_file
from transformers.utils import logging

from support.cases import SOURCES, Cases, check, parser, run_duan
from support.loading import dequantizes, load, readable_source

BAR = 2e-3
AWQ_ORDER = [0, 2, 4, 6, 1, 3, 5, 7]
FORMS = {
    "awq": {"method": "awq", "bits": 4, "symmetric": False},
    "gptq": {"method": "gptq", "bits": 4, "symmetric": True},
    "gptq asymmetric": {"method": "gptq", "bits": 4, "symmetric": False},
    "gptq_v2 asymmetric": {"method": "gptq_v2", "bits": 4, "symmetric": False},
    "gptq 8": {"method": "gptq", "bits": 8, "symmetric": True},
}


def pack(fields, bits):
    """[..., n] of unsigned numbers -> I32 [..., n * bits / 32], low end first."""
    words = fields.long().reshape(*fields.shape[:-1], -1, 32 // bits)
    packed = (words << (bits * torch.arange(32 // bits))).sum(-1)
    return torch.where(packed >= 1 << 31, packed - (1 << 32), packed).int()


def rounded(weight, form, group):
    """Codes [out, in], zero points and scales [out, groups]; zero points are at least 1."""
    top, middle = (1 << form["bits"]) - 1, 1 << (form["bits"] - 1)
    grouped = weight.float().reshape(weight.shape[0], -1, group)
    low, high = grouped.amin(-1).clamp(max=0), grouped.amax(-1).clamp(min=0)
    spread = 2 * torch.maximum(-low, high) if form["symmetric"] else high - low
    scales = (spread / top).clamp(min=1e-4).half()
    zeros = torch.full_like(low, middle) if form["symmetric"] else (-low / scales.float()).round().clamp(1, top)
    codes = ((grouped / scales.float()[..., None]).round() + zeros[..., None]).clamp(0, top)
    values = (codes - zeros[..., None]) * scales.float()[..., None]
    return codes.reshape(weight.shape), zeros, scales, values.reshape(weight.shape)


def tensors_of(form, codes, zeros, scales):
    bits = form["bits"]
    if form["method"] == "awq":
        order = torch.tensor(AWQ_ORDER)
        mixed = lambda x: x.reshape(*x.shape[:-1], -1, 8)[..., order].reshape(x.shape)
        return {"qweight": pack(mixed(codes.T), 4), "qzeros": pack(mixed(zeros.T), 4), "scales": scales.T.contiguous()}
    stored = zeros if form["method"] == "gptq_v2" else zeros - 1
    groups = torch.arange(codes.shape[1]) // (codes.shape[1] // zeros.shape[1])
    return {"qweight": pack(codes, bits).T.contiguous(), "qzeros": pack(stored.T, bits),
            "scales": scales.T.contiguous(), "g_idx": groups.int()}


def write_source(source, folder, form, group):
    shutil.copytree(source, folder, ignore=shutil.ignore_patterns("*.safetensors", "goldens"))
    config = json.loads((source / "config.json").read_text())
    quantization = {"quant_method": form["method"].removesuffix("_v2"), "bits": form["bits"], "group_size": group}
    if form["method"] == "awq":
        quantization |= {"zero_point": True, "version": "gemm", "modules_to_not_convert": None}
    else:
        quantization |= {"sym": form["symmetric"], "desc_act": False, "checkpoint_format": form["method"]}
    (folder / "config.json").write_text(json.dumps(config | {"quantization_config": quantization}, indent=2))
    tensors, expected = {}, {}
    for name, weight in load_file(source / "model.safetensors").items():
        if not name.endswith("_proj.weight"):
            tensors[name] = weight
            continue
        module = name.removesuffix(".weight")
        *parts, expected[module] = rounded(weight, form, group)
        tensors |= {f"{module}.{part}": tensor for part, tensor in tensors_of(form, *parts).items()}
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    return expected


def check_plain(program, root, logits, ids):
    """The source dequantized by duan, in transformers: the distance of its logits from these."""
    run_duan(program, "convert", root / "source", "-o", root / "plain", "--dequantize", "f32")
    model, workarounds = load(root / "plain")
    check(not workarounds, f"{workarounds}")
    with torch.no_grad():
        difference = float((model(ids[None]).logits[0] - logits).norm() / logits.norm())
    check(difference <= BAR, f"logits of the plain checkpoint differ by {difference:.2g}")
    return difference


def check_form(program, source, form, group, ids):
    with tempfile.TemporaryDirectory() as temporary:
        root = pathlib.Path(temporary)
        expected = write_source(readable_source(source, root / "readable"), root / "source", form, group)
        run_duan(program, "convert", root / "source", "-o", root / "out")
        run_duan(program, "verify", root / "out", "--for", "transformers")
        model, workarounds = load(root / "out")
        if not dequantizes(workarounds):
            marked = {name for name, module in model.named_modules() if hasattr(module, "quantization_scheme")}
            check(marked == set(expected), f"transformers quantizes {sorted(marked ^ set(expected))[:5]}")
        with torch.no_grad():
            logits = model(ids[None]).logits[0].float()
        for module, values in expected.items():
            weight = getattr(model.get_submodule(module), "weight", None)
            if weight is not None:
                difference = (weight - values).abs().max() / values.abs().max()
                check(difference <= 2**-11, f"weights of {module} differ by {difference:.2g}")
        save_file({"input_ids": ids, "logits": logits.contiguous()}, root / "golden.safetensors")
        worst = 0
        for folder in ("source", "out"):
            compared = json.loads(run_duan(program, "compare", root / folder, root / "golden.safetensors", "--compute",
                                           "fp32", "--json"))
            difference = compared["cases"][0]["rel_l2"] if "cases" in compared else compared["rel_l2"]
            check(difference <= BAR, f"logits of {folder} differ by {difference:.2g}")
            worst = max(worst, difference)
        worst = max(worst, check_plain(program, root, logits, ids))
        return "; ".join([f"logits within {worst:.2g} (bar {BAR:.2g})", *workarounds])


def main():
    arguments = parser(__doc__).parse_args()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    cases = Cases(arguments.only)
    own = SOURCES / "tests" / "data" / "models"
    found = {folder.name: folder for folder in sorted(own.iterdir()) if (folder / "model.safetensors").exists()}
    for name, source in (found | {"demo": SOURCES / "models" / "demo"}).items():
        config = json.loads((source / "config.json").read_text())
        config = config.get("text_config", config)
        widths = config["hidden_size"], config["intermediate_size"]
        group = next(size for size in (128, 64, 32, 16) if all(width % size == 0 for width in widths))
        ids = torch.randint(config["vocab_size"], (48,), generator=torch.Generator().manual_seed(1))
        for kind, form in FORMS.items():
            title = f"{name}: {kind}"
            if cases.wants(title):
                cases.run(title, lambda: check_form(arguments.duan, source, form, group, ids))
    return cases.finish("conversions")


if __name__ == "__main__":
    sys.exit(main())
