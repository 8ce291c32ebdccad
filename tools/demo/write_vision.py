"""Writes a trained model as a Qwen3-VL checkpoint that transformers loads."""
import json
import shutil

from safetensors.torch import save_file
from tokenizers import Tokenizer

import images
from vision import MROPE_SECTION, checkpoint
from vision_chat import chat_template


def write_vision_model(model, source, out):
    """config.json, model.safetensors (bf16), the preprocessors' configurations and the tokenizer's files from source."""
    out.mkdir(parents=True, exist_ok=True)
    tokenizer = Tokenizer.from_file(str(source / "tokenizer.json"))
    end, stop = tokenizer.token_to_id("<|endoftext|>"), tokenizer.token_to_id("<|im_end|>")
    text, vision = model.text.shape, model.vision.shape

    def write(name, value):
        (out / name).write_text(json.dumps(value, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")

    write("config.json", {
        "architectures": ["Qwen3VLForConditionalGeneration"], "image_token_id": tokenizer.token_to_id("<|image_pad|>"),
        "model_type": "qwen3_vl",
        "text_config": {
            "attention_bias": False, "attention_dropout": 0.0, "bos_token_id": end, "dtype": "bfloat16", "eos_token_id": stop,
            "head_dim": text.head_dim, "hidden_act": "silu", "hidden_size": text.hidden_size, "initializer_range": 0.02,
            "intermediate_size": text.intermediate_size, "max_position_embeddings": text.max_position_embeddings,
            "model_type": "qwen3_vl_text", "num_attention_heads": text.num_attention_heads,
            "num_hidden_layers": text.num_hidden_layers, "num_key_value_heads": text.num_key_value_heads,
            "rms_norm_eps": text.rms_norm_eps, "rope_theta": text.rope_theta, "tie_word_embeddings": True, "use_cache": True,
            "rope_scaling": {"mrope_interleaved": True, "mrope_section": list(MROPE_SECTION), "rope_type": "default"},
            "vocab_size": text.vocab_size},
        "tie_word_embeddings": True, "video_token_id": tokenizer.token_to_id("<|video_pad|>"),
        "vision_config": {
            "deepstack_visual_indexes": list(vision.deepstack_visual_indexes), "depth": vision.depth,
            "hidden_act": "gelu_pytorch_tanh", "hidden_size": vision.hidden_size, "in_channels": 3, "initializer_range": 0.02,
            "intermediate_size": vision.intermediate_size, "model_type": "qwen3_vl", "num_heads": vision.num_heads,
            "num_position_embeddings": vision.num_position_embeddings, "out_hidden_size": vision.out_hidden_size,
            "patch_size": vision.patch_size, "spatial_merge_size": vision.spatial_merge_size,
            "temporal_patch_size": vision.temporal_patch_size},
        "vision_end_token_id": tokenizer.token_to_id("<|vision_end|>"),
        "vision_start_token_id": tokenizer.token_to_id("<|vision_start|>")})
    write("generation_config.json", {"bos_token_id": end, "do_sample": False, "eos_token_id": [stop, end], "pad_token_id": end})
    common = {"patch_size": vision.patch_size, "temporal_patch_size": vision.temporal_patch_size,
              "merge_size": vision.spatial_merge_size, "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5],
              "processor_class": "Qwen3VLProcessor"}
    size = {"longest_edge": images.MAX_PIXELS, "shortest_edge": images.MIN_PIXELS}
    write("preprocessor_config.json", {"size": size, **common, "image_processor_type": "Qwen2VLImageProcessorFast"})
    write("video_preprocessor_config.json", {"size": size, **common, "video_processor_type": "Qwen3VLVideoProcessor"})
    for name in ("tokenizer.json", "vocab.json", "merges.txt"):
        shutil.copyfile(source / name, out / name)
    config = json.loads((source / "tokenizer_config.json").read_text(encoding="utf-8"))
    write("tokenizer_config.json", {**config, "chat_template": chat_template()})
    write("chat_template.json", {"chat_template": chat_template()})
    save_file(checkpoint(model), out / "model.safetensors.tmp", metadata={"format": "pt"})
    (out / "model.safetensors.tmp").chmod(0o644)
    (out / "model.safetensors.tmp").replace(out / "model.safetensors")
