"""Writes tests/data/tokenizer/: small tokenizers of our own and what the `tokenizers` library makes of many strings.

    python tools/make_tokenizer_goldens.py tests/data/tokenizer

<name>.json is a tokenizer, cases.jsonl has one {"tokenizer", "text", "ids", "decoded", "skipped"} a line: the ids of
the text, and the ids decoded with special tokens and, where that differs, without. The result is the same in every run.
"""

import json
import os
import random
import sys

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

QWEN = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
        r"|\s+(?!\S)|\s+")
LLAMA3 = QWEN.replace(r"|\p{N}|", r"|\p{N}{1,3}|")
WITH_MARKS = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}"
              r"| ?[^\s\p{L}\p{M}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")

TEXT = """
The kettle was older than the house, and the house was older than anybody who had slept in it. Every morning the
kettle sang the same three notes, and every morning somebody said that they'd have to buy another one. They didn't.
We're told that it isn't the machine that counts but the hand that holds it; I've never been sure that's right, and
you'll forgive me if I'm still not. She said: "It'll rain on Thursday, the 21st, at 4:30." It rained, 12.5 mm of it.
There are 1000 ways to measure a river and 365 days to do it in; he'd found the 1001st and wouldn't tell us.
for (size_t i = 0; i < values.size(); ++i) {
    total += values[i] * weights[i];
}
def mean(values):
    return sum(values) / len(values)  # the caller checks that there are any
if __name__ == "__main__":
    print(mean([1, 2, 3.5]), mean([10, 20, 30]))
水壶比房子还老，房子比住过的人都老。每天早上水壶唱同样的三个音，每天早上都有人说该买新的了。可是没有人去买。
我们听说重要的不是机器，而是拿着机器的手。我不知道这是不是对的，你也不知道。她说星期四下午四点半会下雨，果然下雨了。
这条河有一千种量法，一年有三百六十五天。他找到了第一千零一种，却不肯告诉我们。
Der Kessel war älter als das Haus, und über die Größe des Flusses weiß niemand Genaueres. Où est la clé ? Déjà vu.
Чайник был старше дома, а дом был старше всех, кто в нём спал. やかんは家より古い。물은 매일 끓는다.
"""

PARTS = [
    "the kettle", " The", "THE", " house's", "They'd", "we're", "I'VE", "'S", "'\u017f", "'ll'", "''t", "don't", "x'", "'",
    " ", "  ", "   ", "\t", "\n", "\n\n", "\r\n", " \n ", "\u00a0", "\u3000", "\u2003", "\u200b", "\u0085", "\u2028", "\x0b",
    "1", "12", "123", "1234", "3.14", "1,000", "\u0661\u0662\u0663", "\u00bd", "\u2167", "\u3007", "\uff11\uff12",
    "水壶", "房子", "，", "。", "第一千零一种", "\u9fff", "\U00020000", "\U0002ebf0", "\u3105",
    "=", "==", "!=", "->", "();", "{\n", "}\n\n", "...", "/* */", "a_b", "C++", "#include <map>", "\\n", "https://x.y/z?q=1",
    "é", "e\u0301", "e\u0323\u0301", "e\u0301\u0323", "\u212b", "\u00c5", "A\u030a", "\u1100\u1161\u11a8", "\uac01", "\uac00\u11a8",
    "\u0958", "\u0915\u093c", "\u0f43", "\u2126", "\ufb01", "\u1e9b\u0323", "\U0001d15e", "\u0344", "\u0301", "नमस्ते", "สวัสดี",
    "größe", "Где", "やかん", "물은", "مرحبا", "שלום", "👍", "👍🏽", "👨‍👩‍👧", "🇩🇪", "\ufe0f", "\ufffd", "\u0000", "\x7f", "\ue000",
    "<|end|>", "<|start|>", "<|start|>user\n", "<think>", "</think>", "<thinking>", "<|end", "|>", "<", "<|pad|><|pad|>",
    "Stop\u00e9", "Stope\u0301", "\u1e31", "\U00011938", "\U00011935\U00011930", "\u0898\u0323", "\U00016d6a", "\u1c89",
]


def train():
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(QWEN), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ])
    trainer = trainers.BpeTrainer(vocab_size=700, initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
                                  show_progress=False)
    tokenizer.train_from_iterator(TEXT.splitlines(keepends=True), trainer)
    return json.loads(tokenizer.to_str())


def variants(base):
    """The same vocabulary in four settings."""
    vocab = base["model"]["vocab"]
    next_id = max(vocab.values()) + 1

    def start(extra=(), **model):
        spec = json.loads(json.dumps(base))
        spec["model"].update(model)
        for i, token in enumerate(extra):
            spec["model"]["vocab"][token] = next_id + i
        tokenizer = Tokenizer.from_str(json.dumps(spec))
        tokenizer.decoder = decoders.ByteLevel()
        return tokenizer

    def byte_level(pattern):
        return pre_tokenizers.Sequence([
            pre_tokenizers.Split(Regex(pattern), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ])

    specials = [AddedToken(t, special=True, normalized=False) for t in ("<|end|>", "<|start|>", "<|pad|>")]

    qwen = start()
    qwen.add_special_tokens(specials)
    qwen.add_tokens([AddedToken(t, normalized=False) for t in ("<think>", "</think>", "<thinking>")])
    yield "qwen", qwen

    # A token no merge makes is found only because merges are ignored for pieces that are tokens.
    llama3 = start(extra=["Ġkettleold", "THE", "1234", "123"], ignore_merges=True)
    llama3.normalizer = None
    llama3.pre_tokenizer = byte_level(LLAMA3)
    llama3.add_special_tokens(specials)
    end, begin = llama3.token_to_id("<|end|>"), llama3.token_to_id("<|start|>")
    llama3.post_processor = processors.Sequence([
        processors.ByteLevel(trim_offsets=False),
        processors.TemplateProcessing(single="<|start|> $A <|end|>", pair="<|start|> $A <|start|> $B:1",
                                      special_tokens=[("<|end|>", end), ("<|start|>", begin)]),
    ])
    yield "llama3", llama3

    # Added tokens matched after normalization, one of them spelled in the byte alphabet, one not.
    gpt2 = start()
    gpt2.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    gpt2.add_special_tokens(specials)
    gpt2.add_tokens([AddedToken("Stope\u0301", normalized=True), AddedToken("水 壶", normalized=True)])
    yield "gpt2", gpt2

    marks = start()
    marks.pre_tokenizer = byte_level(WITH_MARKS)
    marks.add_special_tokens(specials)
    yield "marks", marks


def texts(rng):
    yield from PARTS
    yield ""
    yield " kettleold and THE 1234 12345"
    yield "水 壶 Stope\u0301"
    yield " " * 150
    yield "a" * 140 + "é" * 10
    yield "水壶" * 30
    for _ in range(35):
        yield "".join(rng.choice(PARTS) for _ in range(rng.randint(2, 9)))


def main(folder):
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "cases.jsonl"), "w", encoding="utf-8") as out:
        for name, tokenizer in variants(train()):
            # Written and read again: what the file says is what counts.
            text = tokenizer.to_str()
            with open(os.path.join(folder, name + ".json"), "w", encoding="utf-8") as f:
                f.write(text + "\n")
            tokenizer = Tokenizer.from_str(text)
            for case in texts(random.Random(7)):
                ids = tokenizer.encode(case).ids
                record = {"tokenizer": name, "text": case, "ids": ids,
                          "decoded": tokenizer.decode(ids, skip_special_tokens=False)}
                skipped = tokenizer.decode(ids, skip_special_tokens=True)
                if skipped != record["decoded"]:
                    record["skipped"] = skipped
                out.write(json.dumps(record, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
