"""What the pictures of the demo model say, and what is asked about them. Deterministic by the generator given.

The set of characters (CHARACTERS): printable ASCII and the CHINESE most frequent Chinese characters of corpus/ that are
single tokens of the tokenizer. Every string is either a training string or a held-out one, by its checksum, so that a
held-out picture never shows a word, number or phrase that training has seen whole.
"""
import collections
import functools
import pathlib
import re
import string
import zlib

CORPUS = pathlib.Path(__file__).resolve().parent / "corpus"
CHINESE = 200
HELD_SHARE = 8  # one string in so many is held out
LETTERS = string.ascii_letters + string.digits + "!\"#$%&'()*+,-./:;<=>?@[]_"
SYLLABLES = ("ba be bo ca ce co da de di do fa fe fi ga go ha he hi ka ki ko la le li lo lu ma me mi mo na ne no pa pe pi po ra re "
             "ri ro sa se si so su ta te ti to va vi wa we ya za er in on an st al ar en el ow ck ng th sh ch qu ex ju").split()
READ = {"en": ["what is written in the image?", "What is written in the image?", "What does the image say?", "Read the text in the image."],
        "zh": ["图中写了什么？", "图片里写的是什么？", "读一下图中的文字", "图里的字是什么？"]}
NUMBER = {"en": ["what is the number in the image?", "What is the number in the image?", "Which number is shown?"],
          "zh": ["图中的数字是什么？", "图里的数是多少？"]}
DIRECT = " Answer this question using the text in the image directly."
# Key as printed, then how it is asked for.
RECEIPT = {"en": [("Total", "what is the total amount of this receipt?"), ("Date", "what is the date of this receipt?"),
                  ("Tax", "what is the tax on this receipt?"), ("Cash", "how much was paid in cash?")],
           "zh": [("总计", "总计是多少？"), ("日期", "日期是哪天？"), ("数量", "数量是多少？")]}
FIELDS = {"en": [("Name", "What is the name?"), ("City", "What is the city?"), ("Room", "What is the room number?"),
                 ("Time", "What is the time?"), ("Code", "What is the code?"), ("Date", "What is the date?")],
          "zh": [("名字", "名字是什么？"), ("时间", "时间是几点？"), ("号码", "号码是多少？"), ("日期", "日期是哪天？"), ("问题", "问题是什么？")]}


def held_out(text):
    return zlib.crc32(text.lower().encode()) % HELD_SHARE == 0


@functools.cache
def corpus():
    """(Chinese characters by falling frequency, runs of them in the texts, English words)."""
    text = "\n".join(path.read_text(encoding="utf-8") for path in sorted(CORPUS.glob("*.txt")))
    vocabulary = (CORPUS.parents[2] / "models" / "demo" / "tokenizer.json").read_text(encoding="utf-8")
    from tokenizers import Tokenizer
    tokenizer = Tokenizer.from_str(vocabulary)
    counts = collections.Counter(re.findall("[\u4e00-\u9fff]", text))
    ordered = sorted(counts, key=lambda one: (-counts[one], one))
    known = set("名字时间号码日期问题总计数量")
    chosen = [one for one in ordered if len(tokenizer.encode(one).ids) == 1][:CHINESE]
    chosen += sorted(one for one in known if one not in chosen and len(tokenizer.encode(one).ids) == 1)
    runs = [run for run in re.findall("[" + "".join(chosen) + "]{2,}", text)]
    words = sorted({word for word in re.findall(r"[A-Za-z]{2,11}", text)})
    return chosen, runs, words


@functools.cache
def characters():
    """Every character a picture may show; the index is the class of the auxiliary loss, 0 is none."""
    return [""] + list(LETTERS) + corpus()[0]


def fresh(rng, held, make):
    """A string of make() on the asked side of the split."""
    while True:
        text = make()
        if held_out(text) == held:
            return text


def word(rng):
    if rng.random() < 0.35:
        one = "".join(rng.choice(SYLLABLES) for _ in range(rng.randint(2, 4)))
    elif rng.random() < 0.1:
        one = "".join(rng.choice(string.ascii_lowercase) for _ in range(rng.randint(3, 6)))
    else:
        one = rng.choice(corpus()[2])
    return rng.choice((str.lower, str.lower, str.title, str.upper))(one)


def phrase(rng, most=7):
    chosen, runs, _ = corpus()
    if rng.random() < 0.5:
        return "".join(rng.choice(chosen) for _ in range(rng.randint(2, min(5, most))))
    run = rng.choice(runs)
    size = min(len(run), rng.randint(2, most))
    start = rng.randint(0, len(run) - size)
    return run[start:start + size]


def price(rng):
    return f"{rng.randint(0, rng.choice((9, 99, 999)))}.{rng.randint(0, 99):02d}"


def date(rng):
    return f"{rng.randint(1990, 2039)}-{rng.randint(1, 12):02d}-{rng.randint(1, 28):02d}"


def clock(rng):
    return f"{rng.randint(0, 23):02d}:{rng.randint(0, 59):02d}"


def digits(rng):
    kind = rng.random()
    if kind < 0.6:
        return "".join(rng.choice(string.digits) for _ in range(rng.randint(3, 8)))
    return rng.choice((price, date, clock, lambda r: f"{r.randint(10, 999)}-{r.randint(1000, 9999)}"))(rng)


def line(rng, language):
    """Two or three words, or a longer piece of Chinese, sometimes with a number or a mark."""
    if language == "zh":
        return phrase(rng, 8) + rng.choice(("", "", str(rng.randint(1, 99))))
    words = [word(rng) for _ in range(rng.randint(2, 3))]
    if rng.random() < 0.25:
        words[rng.randrange(len(words))] = str(rng.randint(1, 999))
    return " ".join(words)[:22].strip() + rng.choice(("", "", "", "!", ".", "?"))


def value(rng, key):
    """A value that fits the key."""
    if key in ("Total", "总计", "Tax", "Cash"):
        return price(rng)
    if key in ("Date", "日期"):
        return date(rng)
    if key in ("Time", "时间"):
        return clock(rng)
    if key in ("Room", "数量", "号码"):
        return str(rng.randint(1, 9999))
    if key == "Code":
        return "".join(rng.choice(string.ascii_uppercase + string.digits) for _ in range(rng.randint(4, 6)))
    return phrase(rng, 3) if key in ("名字", "问题") else word(rng).title()


def table(rng, held, language, choices, receipt):
    """(lines, [(question, answer)]) of a receipt or a form."""
    picked = rng.sample(choices, rng.randint(1, 2) if receipt else rng.randint(2, 3))
    if receipt and not any(key in ("Total", "总计") for key, _ in picked):
        picked[0] = choices[0]
    lines, asked = [], []
    if receipt:
        name = fresh(rng, held, lambda: word(rng).title() if language == "en" else phrase(rng, 4))
        lines.append(name + (rng.choice((" Shop", " Store", " Cafe")) if language == "en" else ""))
        asked.append(("what is the name of the shop?" if language == "en" else "店名是什么？", lines[0]))
        if rng.random() < 0.6:
            item = fresh(rng, held, lambda: word(rng).title()[:7] if language == "en" else phrase(rng, 3))
            lines.append(f"{item} {price(rng)}")
    elif rng.random() < 0.25:
        lines.append(fresh(rng, held, lambda: word(rng).upper() if language == "en" else phrase(rng, 5)))
    for key, question in picked:
        text = fresh(rng, held, lambda: value(rng, key))
        separator = rng.choice((": ", " ")) if language == "en" else rng.choice((":", " "))
        lines.append(key + separator + text)
        asked.append((question, text))
    rng.shuffle(asked)
    return lines, [(question + (DIRECT if language == "en" and rng.random() < 0.3 else ""), answer) for question, answer in asked]


KINDS = ("Regular Text Recognition", "Irregular Text Recognition", "Digit String Recognition", "Key Information Extraction",
         "Doc-oriented VQA")


def content(rng, kind, held=False, easy=False):
    """(lines to print, [(question, answer)]) of one picture; easy: a short word or number only."""
    language = rng.choice(("en", "en", "zh"))
    if kind == "Digit String Recognition":
        text = fresh(rng, held, lambda: digits(rng))
        return [text], [(rng.choice(NUMBER[language]), text)]
    if kind == "Key Information Extraction":
        return table(rng, held, language, RECEIPT[language], True)
    if kind == "Doc-oriented VQA":
        return table(rng, held, language, FIELDS[language], False)
    short = easy or kind.startswith("Irregular") or rng.random() < 0.6
    if short:
        text = fresh(rng, held, lambda: word(rng) if language == "en" else phrase(rng, 6))
    else:
        text = fresh(rng, held, lambda: line(rng, language))
    asked = language if rng.random() < 0.8 else rng.choice(("en", "zh"))
    if not short and rng.random() < 0.25:
        other = fresh(rng, held, lambda: line(rng, language))
        return [text, other], [(rng.choice(READ[asked]), text + "\n" + other)]
    return [text], [(rng.choice(READ[asked]), text)]
