"""Loads checkpoints in transformers with compressed-tensors, around what the installed versions are known to get wrong.

Whatever is done differently from a plain from_pretrained is a Workaround: its sentence is printed with the case it served,
and what is left is checked as usual.

compressed-tensors 0.20 refuses every checkpoint with zero points, its own too ("weight_zero_point: size mismatch"; it
forgets to pack the placeholder), unless transformers is asked to dequantize while loading.

transformers 4.57 with compressed-tensors 0.13
- makes no placeholder for zero points, names those in the file as unexpected, and fails in the first forward pass. Set as
  parameters, they are used: weights are unpacked by compressed-tensors in that pass.
- looks int8 rows of an embedding up without multiplying them by their scales, silently. run_compressed=False asks it to
  decompress them while loading; inputs of linear layers are rounded all the same.
- names the rounded head of a tied model as missing, and ties it afterwards.
- does not know `rope_parameters`, which transformers 5 writes, and takes theta for 10000, silently.
"""

import json
import shutil

import torch
import transformers
from safetensors import safe_open
from transformers import AutoModelForCausalLM, AutoModelForImageTextToText, CompressedTensorsConfig

from support.cases import check

IS_OLD = int(transformers.__version__.split(".")[0]) < 5


def tensors_in(folder):
    """name -> a handle to read it with; no name is stored twice."""
    found = {}
    for file in sorted(folder.glob("*.safetensors")):
        with safe_open(file, "pt") as tensors:
            for name in tensors.keys():
                check(name not in found, f"{name} is stored twice")
                found[name] = file
    return found


def dtypes_in(folder):
    dtypes = {}
    for name, file in tensors_in(folder).items():
        with safe_open(file, "pt") as tensors:
            dtypes[name] = tensors.get_slice(name).get_dtype()
    return dtypes


def tensor_in(folder, name):
    with safe_open(tensors_in(folder)[name], "pt") as tensors:
        return tensors.get_tensor(name)


def readable_source(source, folder):
    """`source`, or a copy in `folder` whose config.json the installed transformers understands."""
    config = json.loads((source / "config.json").read_text())
    texts = [part for part in (config, config.get("text_config", {})) if "rope_parameters" in part]
    if not IS_OLD or not texts:
        return source
    for part in texts:
        rope = dict(part.pop("rope_parameters"))
        part["rope_theta"] = rope.pop("rope_theta")
        if rope.get("rope_type", "default") != "default":
            part["rope_scaling"] = rope
    shutil.copytree(source, folder, ignore=shutil.ignore_patterns("goldens"))
    (folder / "config.json").write_text(json.dumps(config, indent=2))
    return folder


def load(folder):
    """(model in fp32, workarounds); Failure if a key is missing or unexpected in spite of them."""
    stored = dtypes_in(folder)
    zero_points = {name for name in stored if name.endswith(".weight_zero_point")}
    tables = [name for name, dtype in stored.items() if name.endswith("embed_tokens.weight") and dtype == "I8"]
    workarounds, extra, expected = [], {}, {"missing_keys": set(), "unexpected_keys": set(), "mismatched_keys": set()}
    if zero_points and not IS_OLD:
        extra["quantization_config"] = CompressedTensorsConfig(dequantize=True)
        workarounds.append("loaded with dequantize=True")
    if zero_points and IS_OLD:
        expected["unexpected_keys"] = zero_points
        workarounds.append("zero points set by hand")
    if tables and IS_OLD:
        extra["quantization_config"] = CompressedTensorsConfig(run_compressed=False)
        workarounds.append("loaded with run_compressed=False")
    config = json.loads((folder / "config.json").read_text())
    loader = AutoModelForImageTextToText if "vision_config" in config else AutoModelForCausalLM
    model, info = loader.from_pretrained(folder, dtype=torch.float32, output_loading_info=True, **extra)
    if tables and IS_OLD and model.config.tie_word_embeddings:
        expected["missing_keys"] = {"lm_head.weight"}
        workarounds.append("lm_head.weight named as missing")
    for what, names in expected.items():
        check(set(info[what]) == names, f"{what}: {sorted(set(info[what]) ^ names)[:5]}")
    for name in expected["unexpected_keys"]:
        path, part = name.rsplit(".", 1)
        module = model.get_submodule(path)
        module.register_parameter(part, torch.nn.Parameter(tensor_in(folder, name), requires_grad=False))
        module.quantization_enabled = False  # or a second pass rounds the weight again, with zero points still packed
    return model, workarounds


def dequantizes(workarounds):
    """Whether the modules of the model hold floats from the beginning, not codes."""
    return "loaded with dequantize=True" in workarounds
