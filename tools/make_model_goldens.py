#!/usr/bin/env python3
"""Writes the tiny random models that the engine is tested against, and what transformers computes with them.

For each architecture: tests/data/models/<name>/config.json, model.safetensors (bf16) and
goldens/n<tokens>.safetensors with input_ids [n], logits [n, vocab] (n > 40: every 4th position plus
logits_last [vocab]) and greedy_ids [32] (with the cache, no stop at an end token). n40 also holds layer_in.<i>,
last_layer_out and final_norm. tests/data/models/index.json lists every case with the smallest difference between
the best and the second best logit along the greedy path, so that "the greedy ids are equal" is a fair demand.

The weights are rounded to bf16 first; the reference then computes with them in fp32 on the CPU (eager attention,
one thread). Needs torch, transformers and safetensors (tools/demo/requirements.txt).

    python tools/make_model_goldens.py [--out tests/data/models]
"""
import argparse
import json
import pathlib
import shutil

import torch
from safetensors.torch import save_file
from transformers import AutoConfig, AutoModelForCausalLM

GREEDY_TOKENS = 32
LEAST_MARGIN = 2e-3
LENGTHS = (1, 3, 40, 96)
VOCAB = 208

# Two spellings of the same facts: files published before transformers 5 ("rope_theta", "rope_scaling",
# "torch_dtype") and since ("rope_parameters", "dtype"). A reader has to take both, so both occur here.
SHARED = {
    "attention_bias": False,
    "attention_dropout": 0.0,
    "bos_token_id": 0,
    "eos_token_id": 2,
    "hidden_act": "silu",
    "hidden_size": 64,
    "initializer_range": 0.02,
    "use_cache": True,
    "vocab_size": VOCAB,
}

MODELS = {
    # Tied, yet the file also stores lm_head.weight (with other values: using it is an error). head_dim is not
    # hidden / heads.
    "qwen3-tied": SHARED | {
        "architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3", "head_dim": 32, "num_attention_heads": 4,
        "num_key_value_heads": 2, "num_hidden_layers": 2, "intermediate_size": 80, "rms_norm_eps": 1e-6,
        "max_position_embeddings": 4096, "rope_theta": 1000000, "rope_scaling": None, "tie_word_embeddings": True,
        "torch_dtype": "bfloat16", "sliding_window": None, "use_sliding_window": False, "max_window_layers": 2,
    },
    "qwen3-untied": SHARED | {
        "architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3", "head_dim": 16, "num_attention_heads": 4,
        "num_key_value_heads": 1, "num_hidden_layers": 3, "intermediate_size": 48, "rms_norm_eps": 1e-6,
        "max_position_embeddings": 4096, "tie_word_embeddings": False, "dtype": "bfloat16",
        "rope_parameters": {"rope_type": "default", "rope_theta": 5000000.0},
        "sliding_window": None, "use_sliding_window": False, "max_window_layers": 3,
    },
    "qwen3-yarn": SHARED | {
        "architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3", "head_dim": 32, "num_attention_heads": 4,
        "num_key_value_heads": 2, "num_hidden_layers": 2, "intermediate_size": 64, "rms_norm_eps": 1e-6,
        "max_position_embeddings": 128, "rope_theta": 10000.0, "tie_word_embeddings": True,
        "rope_scaling": {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32},
        "torch_dtype": "bfloat16", "sliding_window": None, "use_sliding_window": False, "max_window_layers": 2,
    },
    # No head_dim in the file: hidden / heads. Biases on q, k and v.
    "qwen2": SHARED | {
        "architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2", "num_attention_heads": 4,
        "num_key_value_heads": 2, "num_hidden_layers": 2, "intermediate_size": 80, "rms_norm_eps": 1e-6,
        "max_position_embeddings": 4096, "rope_theta": 1000000.0, "rope_scaling": None, "tie_word_embeddings": True,
        "torch_dtype": "bfloat16", "sliding_window": None, "use_sliding_window": False, "max_window_layers": 2,
    },
    "llama3": SHARED | {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "head_dim": 16, "num_attention_heads": 4,
        "num_key_value_heads": 2, "num_hidden_layers": 2, "intermediate_size": 80, "rms_norm_eps": 1e-5,
        "max_position_embeddings": 4096, "tie_word_embeddings": False, "mlp_bias": False, "dtype": "bfloat16",
        "rope_parameters": {"rope_type": "llama3", "rope_theta": 500000.0, "factor": 8.0, "low_freq_factor": 1.0,
                            "high_freq_factor": 4.0, "original_max_position_embeddings": 64},
    },
}


def random_weights(model, generator):
    """Weights large enough that positions, norms and every head change the logits."""
    for name, parameter in model.named_parameters():
        noise = torch.randn(parameter.shape, generator=generator)
        if name.endswith("norm.weight"):
            value = 1.0 + 0.2 * noise
        elif name.endswith("bias"):
            value = 0.3 * noise
        elif "embed_tokens" in name:
            value = 0.2 * noise
        elif "lm_head" in name:
            value = 0.4 * noise
        else:
            value = 1.2 * noise / parameter.shape[-1] ** 0.5
        with torch.no_grad():
            parameter.copy_(value.to(torch.bfloat16))


def greedy(model, ids):
    """32 greedy ids with the cache and the smallest top-1/top-2 difference on the way."""
    chosen, margin, past, step = [], float("inf"), None, ids
    for _ in range(GREEDY_TOKENS):
        output = model(input_ids=step, past_key_values=past, use_cache=True)
        past = output.past_key_values
        best = output.logits[0, -1].topk(2)
        margin = min(margin, (best.values[0] - best.values[1]).item())
        chosen.append(best.indices[0].item())
        step = torch.tensor([[chosen[-1]]])
    return torch.tensor(chosen), margin


def one_case(model, ids, with_layers):
    captured = {}
    hooks = []
    if with_layers:
        layers = model.model.layers

        def keep_input(i):
            return lambda module, args, kwargs: captured.__setitem__(
                f"layer_in.{i}", (args[0] if args else kwargs["hidden_states"])[0].clone())

        for i, layer in enumerate(layers):
            hooks.append(layer.register_forward_pre_hook(keep_input(i), with_kwargs=True))
        hooks.append(layers[-1].register_forward_hook(lambda module, args, output: captured.__setitem__(
            "last_layer_out", (output[0] if isinstance(output, tuple) else output).reshape(ids.shape[1], -1).clone())))
        hooks.append(model.model.norm.register_forward_hook(
            lambda module, args, output: captured.__setitem__("final_norm", output[0].clone())))
    logits = model(input_ids=ids, use_cache=False).logits[0]
    for hook in hooks:
        hook.remove()
    tensors = {"input_ids": ids[0].clone(), **captured}
    if ids.shape[1] > 40:
        tensors["logits"] = logits[::4].clone()
        tensors["logits_last"] = logits[-1].clone()
    else:
        tensors["logits"] = logits.clone()
    tensors["greedy_ids"], margin = greedy(model, ids)
    return {name: value.contiguous() for name, value in tensors.items()}, margin


def make_model(name, config, seed, folder):
    """Returns the cases, or None when a margin is too small for this seed."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    model = AutoModelForCausalLM.from_config(
        AutoConfig.from_pretrained(folder), attn_implementation="eager", dtype=torch.float32).eval()
    generator = torch.Generator().manual_seed(seed)
    random_weights(model, generator)
    weights = {key: value.to(torch.bfloat16).contiguous() for key, value in model.state_dict().items()}
    if config["tie_word_embeddings"]:
        weights.pop("lm_head.weight", None)
        if name == "qwen3-tied":
            decoy = torch.randn(VOCAB, config["hidden_size"], generator=generator)
            weights["lm_head.weight"] = decoy.to(torch.bfloat16)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "goldens").mkdir()
    cases = {}
    for length in LENGTHS:
        ids = torch.randint(3, VOCAB, (1, length), generator=generator)
        tensors, margin = one_case(model, ids, with_layers=length == 40)
        if margin < LEAST_MARGIN:
            return None
        save_file(tensors, folder / "goldens" / f"n{length}.safetensors")
        cases[f"n{length}"] = {"file": f"{name}/goldens/n{length}.safetensors", "n_prompt": length,
                               "greedy_min_margin": margin}
    return cases


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("tests/data/models"))
    out = parser.parse_args().out
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    index = {}
    with torch.no_grad():
        for position, (name, config) in enumerate(MODELS.items()):
            for seed in range(1000 * (position + 1), 1000 * (position + 1) + 50):
                shutil.rmtree(out / name, ignore_errors=True)
                cases = make_model(name, config, seed, out / name)
                if cases:
                    break
            else:
                raise SystemExit(f"{name}: no seed gives margins of {LEAST_MARGIN}")
            index[name] = {"model": name, "seed": seed, "cases": cases}
            print(name, "seed", seed, "least margin", min(case["greedy_min_margin"] for case in cases.values()))
    (out / "index.json").write_text(json.dumps(index, indent=1) + "\n")


if __name__ == "__main__":
    main()
