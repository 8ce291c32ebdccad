#!/usr/bin/env python3
"""Asks the demo model the questions of models/demo/ocr in bf16, greedily, and scores by OCRBench's rule.

The rule: lower case, stripped, line breaks are spaces; a hit when an answer is a substring of the prediction. The stricter
column counts predictions that are the answer, case and all. --predictions writes the input with `predict` and `result`.

    python tools/demo/evaluate_ocr.py --model models/demo --cases models/demo/ocr/ocr.json
"""
import argparse
import collections
import json
import pathlib

import torch
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoProcessor


def hit(prediction, answers):
    text = prediction.lower().strip().replace("\n", " ")
    return any(answer.lower().strip().replace("\n", " ") in text for answer in answers)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=pathlib.Path, default=pathlib.Path("models/demo"))
    parser.add_argument("--cases", type=pathlib.Path, default=pathlib.Path("models/demo/ocr/ocr.json"))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--dtype", choices=("bfloat16", "float32"), default="bfloat16")
    parser.add_argument("--think", action="store_true", help="leave thinking on")
    parser.add_argument("--predictions", type=pathlib.Path)
    parser.add_argument("--wrong", action="store_true", help="print each failure")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    processor = AutoProcessor.from_pretrained(options.model)
    model = AutoModelForImageTextToText.from_pretrained(options.model, dtype=getattr(torch, options.dtype)).eval()
    cases = json.loads(options.cases.read_text(encoding="utf-8"))
    hits, same, total = collections.Counter(), collections.Counter(), collections.Counter()
    for case in cases:
        with Image.open(options.cases.parent / case["image_path"]) as file:
            picture = file.convert("RGB")
        extra = {} if options.think else {"enable_thinking": False}
        text = processor.apply_chat_template(
            [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": case["question"]}]}],
            add_generation_prompt=True, **extra)
        inputs = processor(text=text, images=picture, return_tensors="pt")
        with torch.no_grad():
            output = model.generate(**inputs, max_new_tokens=100, do_sample=False)
        prediction = processor.tokenizer.decode(output[0, inputs.input_ids.shape[1]:], skip_special_tokens=True)
        case["predict"] = prediction.split("</think>")[-1].strip()
        answers = case["answers"] if isinstance(case["answers"], list) else [case["answers"]]
        case["result"] = int(hit(case["predict"], answers))
        language = "zh" if any(ord(one) > 0x2000 for one in "".join(answers)) else "latin"
        for group in (case["type"], "all", "answers in Chinese" if language == "zh" else "answers in Latin letters and digits"):
            total[group] += 1
            hits[group] += case["result"]
            same[group] += case["predict"] in answers
        if options.wrong and not case["result"]:
            print(f"{case['image_path']}: {answers} read as {case['predict']!r}")
    for group in total:
        print(f"{group:36s} {hits[group]:4d} of {total[group]:4d} = {100 * hits[group] / total[group]:5.1f} %; exactly "
              f"{100 * same[group] / total[group]:5.1f} %")
    if options.predictions:
        options.predictions.write_text(json.dumps(cases, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
