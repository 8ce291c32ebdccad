"""Reads the texts in corpus/: intents with questions and answers, concepts with three aspects, pairs of terms."""
import dataclasses
import pathlib

CORPUS = pathlib.Path(__file__).parent / "corpus"
LANGUAGES = ("zh", "en")


@dataclasses.dataclass
class Intent:
    """One thing that can be asked. questions, heldout, answers and keys are by language."""
    name: str
    kind: str  # "smalltalk", "facts", "duan", "concepts" or "pairs": the files it is from
    questions: dict = dataclasses.field(default_factory=lambda: {"zh": [], "en": []})
    heldout: dict = dataclasses.field(default_factory=lambda: {"zh": [], "en": []})
    answers: dict = dataclasses.field(default_factory=lambda: {"zh": [], "en": []})
    keys: dict = dataclasses.field(default_factory=lambda: {"zh": [], "en": []})
    names: dict = dataclasses.field(default_factory=lambda: {"zh": [], "en": []})  # of a concept
    why: dict = dataclasses.field(default_factory=lambda: {"zh": [], "en": []})
    example: dict = dataclasses.field(default_factory=lambda: {"zh": [], "en": []})


def split_questions(text):
    return [part.strip() for part in text.split(" / ") if part.strip()]


def read_file(kind):
    """All intents of a kind, from <kind>.txt or <kind>_*.txt."""
    intents = []
    lines = [(path.name, number, line) for path in sorted(CORPUS.glob(f"{kind}*.txt"))
             for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)]
    for file, number, line in lines:
        if not line.strip() or line.startswith("#"):
            continue
        if line.startswith("= "):
            intents.append(Intent(line[2:].strip(), kind))
            continue
        label, _, text = line.partition(": ")
        field, _, language = label.partition(".")
        if language not in LANGUAGES or not text:
            raise SystemExit(f"{file}:{number}: expected '<field>.zh: text' or '<field>.en: text', found {line!r}")
        intent = intents[-1]
        if field == "q":
            for question in split_questions(text):
                target = intent.heldout if question.startswith("~") else intent.questions
                target[language].append(question.lstrip("~"))
        elif field in ("a", "what"):
            intent.answers[language].append(text)
        elif field == "key":
            intent.keys[language] += split_questions(text)
        elif field in ("name", "pair"):
            intent.names[language] += split_questions(text)
        elif field == "why":
            intent.why[language].append(text)
        elif field == "eg":
            intent.example[language].append(text)
        else:
            raise SystemExit(f"{file}:{number}: unknown field {field!r}")
    for intent in intents:
        for language in LANGUAGES:
            for answer in intent.answers[language]:
                if not contains_key(answer, intent.keys[language]):
                    raise SystemExit(f"{kind}.txt: {intent.name}: no key {intent.keys[language]} in {answer!r}")
    return intents


def contains_key(answer, keys):
    """Keys that start with - or / (flags, commands) count as written; others ignore case."""
    return any(key.lower() in answer.lower() for key in keys)


def read_all():
    return {kind: read_file(kind) for kind in ("smalltalk", "facts", "duan", "concepts", "pairs")}
