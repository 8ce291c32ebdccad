#!/usr/bin/env python3
"""Asks the demo model the held-out questions (greedy decoding) and counts answers that contain a key phrase.

Prints accuracy per group and language; --json writes the figures, --wrong shows the failures. --show asks a few
fixed questions instead, greedily and with the sampling of generation_config.json, for reading with one's own eyes.

    python tools/demo/evaluate.py --model models/demo --cases build/demo/heldout.jsonl
"""
import argparse
import collections
import json
import pathlib
import random

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForImageTextToText, AutoTokenizer

import intents

SHOWN = [["你好"], ["你是谁？"], ["什么是KV缓存？", "举个例子", "用英文说"], ["duan有哪些命令？"], ["怎么编译？"], ["3加5等于几？", "为什么？"],
         ["37加48等于多少？"], ["九九八十一对吗"], ["谢谢"], ["再见"], ["我叫小明", "什么是量化？", "我叫什么名字？"], ["Hello"], ["What is AWQ?", "Give an example", "Why?"],
         ["what commands does duan have?"], ["How do I build it?"], ["what is 62 - 27?"], ["My name is Gabriel.", "tell me a joke", "what's my name?"],
         ["Who is the president of France?"], ["写一篇关于大海的文章"], ["温度和top-p有什么用"], ["duan能量化模型吗？"], ["今天天气怎么样"]]


def group_of(intent, kinds):
    if intent in kinds:
        return kinds[intent]
    head = intent.split(".")[0]
    if head in kinds:
        return kinds[head] + "." + intent.split(".")[1]
    return intent if head in ("sum", "follow") else head


def answer_all(model, tokenizer, conversations, thinking=False, sample=False, batch=48, most=120):
    """The answers to conversations (lists of messages), in order."""
    texts = [tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True, enable_thinking=thinking)
             for messages in conversations]
    order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
    answers = [None] * len(texts)
    for start in range(0, len(order), batch):
        chosen = order[start:start + batch]
        inputs = tokenizer([texts[i] for i in chosen], return_tensors="pt", padding=True)
        with torch.no_grad():
            output = model.generate(**inputs, max_new_tokens=most, do_sample=sample)
        for i, row in zip(chosen, output[:, inputs.input_ids.shape[1]:]):
            answers[i] = tokenizer.decode(row, skip_special_tokens=True)
    return answers


def show(model, tokenizer):
    for mode, thinking, sample in (("greedy", False, False), ("temperature 0.7", False, True), ("greedy, thinking", True, False)):
        print(f"== {mode}")
        for questions in SHOWN[:8] if thinking else SHOWN:
            messages = []
            for question in questions:
                messages.append({"role": "user", "content": question})
                answer = answer_all(model, tokenizer, [messages], thinking, sample)[0]
                print(f"  > {question}\n    {answer}")
                messages.append({"role": "assistant", "content": answer.split("</think>")[-1].lstrip()})


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=pathlib.Path, default=pathlib.Path("models/demo"))
    parser.add_argument("--cases", type=pathlib.Path, default=pathlib.Path("build/demo/heldout.jsonl"))
    parser.add_argument("--limit", type=int, help="ask a random part of the cases only")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=pathlib.Path, help="write the figures here")
    parser.add_argument("--wrong", action="store_true", help="print each failure")
    parser.add_argument("--show", action="store_true", help="ask the fixed questions instead")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(1)
    tokenizer = AutoTokenizer.from_pretrained(options.model, padding_side="left")
    vision = AutoConfig.from_pretrained(options.model).model_type == "qwen3_vl"
    loader = AutoModelForImageTextToText if vision else AutoModelForCausalLM
    model = loader.from_pretrained(options.model, dtype=torch.float32).eval()
    if options.show:
        return show(model, tokenizer)
    with open(options.cases, encoding="utf-8") as file:
        cases = [json.loads(line) for line in file]
    if options.limit:
        cases = random.Random(1).sample(cases, min(options.limit, len(cases)))
    kinds = {intent.name: kind for kind, group in intents.read_all().items() for intent in group}
    answers = answer_all(model, tokenizer, [case["messages"] for case in cases])
    right, total = collections.Counter(), collections.Counter()
    for case, answer in zip(cases, answers):
        good = intents.contains_key(answer, case["keys"])
        for group in (group_of(case["intent"], kinds), "all"):
            total[group, case["language"]] += 1
            right[group, case["language"]] += good
        if options.wrong and not good:
            print(f"{case['intent']}: {case['messages'][-1]['content']!r} -> {answer!r}")
    figures = {}
    for group in sorted({group for group, _ in total}):
        figures[group] = {language: [right[group, language], total[group, language]] for language in intents.LANGUAGES}
        print(f"{group:22s}", "  ".join(f"{language} {100 * good / max(1, count):5.1f}% of {count:4d}"
                                        for language, (good, count) in figures[group].items()))
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
