#!/usr/bin/env python3
"""Trains the demo model's tokenizer on train.jsonl: byte-level BPE exactly in Qwen3's form, only smaller.

Writes tokenizer.json, vocab.json, merges.txt and tokenizer_config.json (with the chat template of tests/data). The steps are
Qwen3's: added tokens are split off first, then NFC, the regular expression below, bytes, merges.

    python tools/demo/train_tokenizer.py --corpus build/demo/train.jsonl --out models/demo
"""
import argparse
import json
import pathlib

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

# Qwen2/Qwen3's pattern: digits one by one, letters with at most one leading mark, marks, line breaks, spaces.
PATTERN = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
           r"|\s*[\r\n]+|\s+(?!\S)|\s+")
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|object_ref_start|>", "<|object_ref_end|>", "<|box_start|>",
           "<|box_end|>", "<|quad_start|>", "<|quad_end|>", "<|vision_start|>", "<|vision_end|>", "<|vision_pad|>",
           "<|image_pad|>", "<|video_pad|>"]
PLAIN = ["<tool_call>", "</tool_call>", "<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>", "<|fim_pad|>",
         "<|repo_name|>", "<|file_sep|>", "<tool_response>", "</tool_response>", "<think>", "</think>"]
# Without a limit the merges would swallow whole clauses of the templates; 9 bytes are three Chinese characters.
LONGEST_TOKEN = 9
TEMPLATE = pathlib.Path(__file__).resolve().parents[2] / "tests" / "data" / "templates" / "demo_chat.jinja"


def texts(corpus, limit):
    with open(corpus, encoding="utf-8") as file:
        for number, line in enumerate(file):
            if number >= limit:
                return
            one = json.loads(line)
            for message in one["messages"]:
                yield message["content"]
            if one["think"]:
                yield one["think"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=pathlib.Path, default=pathlib.Path("build/demo/train.jsonl"))
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("models/demo"))
    parser.add_argument("--vocab", type=int, default=3072, help="number of tokens, the 26 added ones included")
    parser.add_argument("--dialogues", type=int, default=60000, help="how many dialogues to learn the merges from")
    options = parser.parse_args()

    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(PATTERN), behavior="isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, trim_offsets=False, use_regex=False)])
    tokenizer.post_processor = processors.ByteLevel(add_prefix_space=False, trim_offsets=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel(add_prefix_space=False, trim_offsets=False, use_regex=False)
    base = options.vocab - len(SPECIAL) - len(PLAIN)
    tokenizer.train_from_iterator(texts(options.corpus, options.dialogues), trainers.BpeTrainer(
        vocab_size=base, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), max_token_length=LONGEST_TOKEN,
        min_frequency=2, show_progress=False))
    if tokenizer.get_vocab_size() != base:
        raise SystemExit(f"the corpus gives only {tokenizer.get_vocab_size()} of {base} tokens")
    for token in SPECIAL:
        tokenizer.add_special_tokens([AddedToken(token, normalized=False)])
    for token in PLAIN:
        tokenizer.add_tokens([AddedToken(token, normalized=False)])

    options.out.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(options.out / "tokenizer.json"), pretty=False)
    state = json.loads((options.out / "tokenizer.json").read_text(encoding="utf-8"))
    (options.out / "tokenizer.json").write_text(json.dumps(state, ensure_ascii=False, indent=0) + "\n", encoding="utf-8")
    (options.out / "vocab.json").write_text(json.dumps(state["model"]["vocab"], ensure_ascii=False) + "\n", encoding="utf-8")
    merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in state["model"]["merges"]]
    (options.out / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n", encoding="utf-8")
    fields = ("content", "lstrip", "normalized", "rstrip", "single_word", "special")
    template = TEMPLATE.read_text(encoding="utf-8")
    (options.out / "tokenizer_config.json").write_text(json.dumps({
        "add_bos_token": False,
        "add_prefix_space": False,
        "added_tokens_decoder": {str(token["id"]): {field: token[field] for field in fields}
                                 for token in state["added_tokens"]},
        "additional_special_tokens": SPECIAL[1:],
        "bos_token": None,
        "chat_template": template,
        "clean_up_tokenization_spaces": False,
        "eos_token": "<|im_end|>",
        "errors": "replace",
        "model_max_length": 2048,
        "pad_token": "<|endoftext|>",
        "split_special_tokens": False,
        "tokenizer_class": "Qwen2Tokenizer",
        "unk_token": None,
    }, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    print(f"{tokenizer.get_vocab_size()} tokens, longest merges:",
          sorted(tokenizer.decode([i]) for i in range(base - 20, base)))


if __name__ == "__main__":
    main()
