#!/usr/bin/env python3
"""Writes the demo model's training dialogues and the questions it is evaluated on.

train.jsonl: {"messages": [...], "think": null or text} per line, all from the texts in corpus/ and slots.py.
heldout.jsonl: {"messages": [... user], "keys": [...], "intent", "language", "think"} with phrasings (and sums and
names) that never occur in train.jsonl; an answer counts as right when it contains one of the keys.

    python tools/demo/make_corpus.py --out build/demo --dialogues 120000 --seed 1
"""
import argparse
import json
import pathlib
import random

import dialogues
import intents
import slots


def heldout_cases(files, seed):
    maker = dialogues.Maker(files, random.Random(seed), heldout=True)
    trained = dialogues.Maker(files, random.Random(seed + 1))
    cases = []

    def add(turn, before=(), system=None):
        messages = [{"role": "system", "content": system}] if system else []
        for earlier in before:
            messages += [{"role": "user", "content": earlier.question}, {"role": "assistant", "content": earlier.answer}]
        messages.append({"role": "user", "content": turn.question})
        cases.append({"messages": messages, "keys": turn.keys, "intent": turn.intent, "language": turn.language})

    for language in intents.LANGUAGES:
        for kind in ("smalltalk", "facts", "duan"):
            for intent in files[kind]:
                answered = {"speak_english": "en", "speak_chinese": "zh"}.get(intent.name, language)
                for question in intent.heldout[language]:
                    one = intents.Intent(intent.name, kind, answers=intent.answers, keys=intent.keys)
                    one.heldout[language] = [question]
                    add(maker.asked_intent(one, language, answered))
        for intent in files["concepts"]:
            for aspect in ("what", "what", "what", "why", "example"):
                add(maker.concept(intent, language, language, aspect))
        for intent in files["pairs"]:
            add(maker.pair(intent, language, language))
        for _ in range(120):
            add(maker.sum(language, language))
        for _ in range(30):
            add(maker.fact(language, language))
        for kind in ("name", "city", "colour"):
            for between in (0, 1, 2, 3) if kind == "name" else (0, 1):
                for _ in range(5):
                    held = {}
                    before = [maker.statement(kind, language, language, held)]
                    before += [trained.fresh(language, language) for _ in range(between)]
                    add(maker.recall(kind, language, language, held), before)
            add(maker.recall(kind, language, language, {}))
        for kind in ("again", "translate", "more", "example", "why"):
            for _ in range(14):
                previous = trained.concept(trained.rng.choice(files["concepts"]), language, language, "what")
                add(maker.follow(previous, language, kind), [previous])
        other = "en" if language == "zh" else "zh"
        for _ in range(14):
            turn = trained.concept(trained.rng.choice(files["concepts"]), other, language, "what")
            turn.intent = "system_language"
            add(turn, system=trained.rng.choice(slots.LANGUAGE_SYSTEM[language]))
    return cases


def heldout_phrasings(files):
    """Every held-out phrasing, normalised, with every name it can be asked for."""
    found = set()
    for language in intents.LANGUAGES:
        for group in files.values():
            for intent in group:
                found.update(intent.heldout[language])
        for frames in (slots.WHAT, slots.WHY, slots.EXAMPLE):
            for intent in files["concepts"]:
                found.update(frame.replace("{x}", name) for frame in slots.phrases(frames[language], True)
                             for name in intent.names[language])
        for frame in slots.phrases(slots.DIFFERENCE[language], True):
            for intent in files["pairs"]:
                x, y = intent.names[language]
                found.update((frame.replace("{x}", x).replace("{y}", y), frame.replace("{x}", y).replace("{y}", x)))
        for row in slots.CAPITALS.values():
            for frames, value in ((slots.CAPITAL, row[0 if language == "zh" else 2]), (slots.CAPITAL_OF, row[1 if language == "zh" else 3])):
                found.update(frame.replace("{x}", value) for frame in slots.phrases(frames[language], True))
        for row in slots.THING_COLOURS.values():
            found.update(frame.replace("{x}", row[0 if language == "zh" else 2]) for frame in slots.phrases(slots.THING_COLOUR[language], True))
        for day in slots.WEEKDAYS[language]:
            for frames in (slots.WEEKDAY_AFTER, slots.WEEKDAY_BEFORE):
                found.update(frame.replace("{x}", day) for frame in slots.phrases(frames[language], True))
        for texts in (slots.AGAIN, slots.TRANSLATE, slots.MORE, slots.EXAMPLE_AGAIN, slots.WHY_AGAIN):
            found.update(slots.phrases(texts[language], True))
        for kind in slots.MEMORY.values():
            found.update(slots.phrases(kind[language][2], True))
    return {dialogues.normal(text) for text in found}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("build/demo"))
    parser.add_argument("--dialogues", type=int, default=120000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    files = intents.read_all()
    maker = dialogues.Maker(files, random.Random(options.seed))
    heldout = heldout_cases(files, 1000)
    kept_out = heldout_phrasings(files) | {dialogues.normal(case["messages"][-1]["content"]) for case in heldout
                                           if not case["intent"].startswith(("system_language", "gibberish"))}
    written = skipped = 0
    with open(options.out / "train.jsonl", "w", encoding="utf-8") as file:
        while written < options.dialogues:
            one = dialogues.dialogue(maker)
            if any(message["role"] == "user" and dialogues.normal(message["content"]) in kept_out for message in one["messages"]):
                skipped += 1  # the noise made a held-out question out of another phrasing
                continue
            file.write(json.dumps(one, ensure_ascii=False) + "\n")
            written += 1
    with open(options.out / "heldout.jsonl", "w", encoding="utf-8") as file:
        for case in heldout:
            file.write(json.dumps(case, ensure_ascii=False) + "\n")
    print(f"{written} dialogues, {len(heldout)} held-out questions, {skipped} dialogues skipped for holding one")


if __name__ == "__main__":
    main()
