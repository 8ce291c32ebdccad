"""Puts turns together to dialogues: questions with noise, answers, follow-ups, things to remember, system prompts."""
import dataclasses
import random
import re

import arithmetic
import intents as intent_files
import slots

ZH_QUESTION = re.compile("什么|吗|怎|哪|谁|几|多少|如何|啥|是不是|会不会|能不能|为何|区别|何")
EN_QUESTION = re.compile(r"^(what|who|how|why|where|when|which|do|does|is|are|can|could|may|will|would|have|in simple|and what|so what|from|at what|by)\b")
PREFIX = {"zh": ["请问，", "请问", "你好，", "那", "嗯，", "对了，", "我想问一下，", "哎，", "好的，", "请问一下，"],
          "en": ["hi, ", "so ", "hey, ", "ok, ", "well, ", "excuse me, ", "hello, ", "please tell me, ", "now, ", "one more question: "]}
SUFFIX = {"zh": ["，谢谢", "，谢谢你", "，好吗", "，请告诉我"], "en": [", please", " please", ", thanks", " now"]}


@dataclasses.dataclass
class Turn:
    """One question with its answer. topic: what a follow-up may refer to (kind, detail)."""
    question: str
    answer: str
    language: str  # of the answer
    intent: str
    keys: list
    topic: tuple = ()
    thought: str = ""


def cased(text):
    return text[:1].upper() + text[1:]


def noisy_zh(rng, text):
    if rng.random() < 0.12 and not text.startswith("请"):
        text = rng.choice(PREFIX["zh"]) + text
    is_question = bool(ZH_QUESTION.search(text))
    if rng.random() < 0.05:
        text += rng.choice(SUFFIX["zh"])
    if rng.random() < 0.25:  # a space between Latin and Chinese letters
        text = re.sub(r"(?<=[\u4e00-\u9fff])(?=[A-Za-z0-9])|(?<=[A-Za-z0-9])(?=[\u4e00-\u9fff])", " ", text)
    if rng.random() < 0.15:
        text = text.lower()
    if text[-1] in "？?。！.!":
        return text
    if is_question:
        return text + rng.choices(("？", "", "?", "？？", "。"), (50, 30, 14, 2, 4))[0]
    return text + rng.choices(("", "。", "！", "~", "？"), (45, 35, 10, 3, 7))[0]


def noisy_en(rng, text):
    if text.endswith(("?", "...")) and len(text) < 4:
        return text
    is_question = bool(EN_QUESTION.match(text))
    if rng.random() < 0.1:
        text = rng.choice(PREFIX["en"]) + text
    if rng.random() < 0.05:
        text += rng.choice(SUFFIX["en"])
    if rng.random() < 0.03 and len(text) > 8:  # a slip of the fingers
        place = rng.randrange(1, len(text) - 2)
        if text[place].isalpha():
            text = text[:place] + text[place + 1:] if rng.random() < 0.5 else text[:place] + text[place + 1] + text[place] + text[place + 2:]
    draw = rng.random()
    if draw < 0.6:
        text = cased(text)
    elif draw < 0.8:
        text = text.lower()
    if text[-1] in "?.!":
        return text
    if is_question:
        return text + rng.choices(("?", "", "??", "."), (66, 28, 2, 4))[0]
    return text + rng.choices(("", ".", "!", "?"), (45, 33, 12, 10))[0]


def noisy(rng, language, text):
    text = noisy_zh(rng, text) if re.search("[\u4e00-\u9fff]", text) else noisy_en(rng, text)
    return text


def varied(rng, language, text):
    """Other words for the same, and now and then a sentence around it."""
    for word, others in rng.sample(slots.SYNONYMS[language], len(slots.SYNONYMS[language])):
        at = text.lower().find(word)
        if at >= 0 and rng.random() < 0.25:
            text = text[:at] + rng.choice(others) + text[at + len(word):]
            if rng.random() < 0.6:
                break
    if rng.random() < 0.06 and len(text) > 4:
        text = rng.choice(slots.WRAPPED[language]).replace("{q}", text)
    return text


def normal(text):
    """A question without marks, spaces and capitals, to see whether two are the same."""
    return re.sub(r"[\s。？?！!.,，~、:：'\"]", "", text.lower())


def fill(rng, language, text):
    """Replaces the free slots {city}, {topic}, {x} (a country) and {lang} of a question."""
    country = rng.choice(list(slots.CAPITALS.values()))
    values = {"city": rng.choice(slots.CITIES[language]), "topic": rng.choice(slots.TOPICS[language]),
              "x": country[0 if language == "zh" else 2], "lang": rng.choice(slots.PROGRAM_LANGUAGES)}
    return re.sub(r"\{(city|topic|x|lang)\}", lambda match: values[match[1]], text)


THOUGHTS = {
    "smalltalk": {"zh": "用户在闲聊，简单回应就好。", "en": "The user is chatting; a short reply will do."},
    "facts": {"zh": "这是一个常识问题，我知道答案。", "en": "This is a simple fact that I know."},
    "duan": {"zh": "用户在问 duan 的用法，我来说明。", "en": "The user asks about duan; I will explain."},
    "concepts": {"zh": "用户想了解一个概念，我用一两句话解释。", "en": "The user wants to know a term; I will explain it in a sentence or two."},
    "pairs": {"zh": "用户想比较两样东西，我说出主要区别。", "en": "The user compares two things; I will name the main difference."},
    "unknown": {"zh": "这个问题超出了我的能力，要如实说明。", "en": "This is beyond me; I should say so."},
    "memory": {"zh": "看看用户前面说过什么。", "en": "Let me see what the user said before."},
    "follow": {"zh": "用户在接着上一个问题问。", "en": "This follows from the last question."},
}


class Maker:
    """Makes turns. With heldout = True it uses only the phrasings that training never sees."""

    def __init__(self, files, rng, heldout=False):
        self.files, self.rng, self.heldout = files, rng, heldout
        self.by_name = {intent.name: intent for group in files.values() for intent in group}

    def phrase(self, text):
        return self.rng.choice(slots.phrases(text, self.heldout))

    def ask(self, language, text):
        if not self.heldout and self.rng.random() < 0.5:
            text = varied(self.rng, language, text)
        return noisy(self.rng, language, text)

    def asked_intent(self, intent, asked, answered):
        questions = intent.heldout[asked] if self.heldout else intent.questions[asked]
        question = self.ask(asked, fill(self.rng, asked, self.rng.choice(questions)))
        thought = THOUGHTS.get(intent.name, THOUGHTS[intent.kind])[answered]
        return Turn(question, self.rng.choice(intent.answers[answered]), answered, intent.name, intent.keys[answered],
                    ("intent", intent.name), thought)

    def concept(self, intent, asked, answered, aspect=None):
        aspect = aspect or self.rng.choices(("what", "why", "example"), (62, 25, 13))[0]
        frames = {"what": slots.WHAT, "why": slots.WHY, "example": slots.EXAMPLE}[aspect]
        name = self.rng.choice(intent.names[asked])
        question = self.ask(asked, self.phrase(frames[asked]).replace("{x}", name))
        answers = {"what": intent.answers, "why": intent.why, "example": intent.example}[aspect][answered]
        keys = intent.keys[answered] if aspect == "what" else answers
        return Turn(question, self.rng.choice(answers), answered, f"{intent.name}.{aspect}", keys,
                    ("concept", intent.name, aspect), THOUGHTS["concepts"][answered])

    def pair(self, intent, asked, answered):
        names = intent.names[asked][:]
        if self.rng.random() < 0.5:
            names.reverse()
        question = self.phrase(slots.DIFFERENCE[asked]).replace("{x}", names[0]).replace("{y}", names[1])
        return Turn(self.ask(asked, question), self.rng.choice(intent.answers[answered]), answered, intent.name,
                    intent.keys[answered], ("intent", intent.name), THOUGHTS["pairs"][answered])

    def sum(self, asked, answered):
        a, operation, b = arithmetic.operands(self.rng, self.heldout and self.rng.random() < 0.6)
        question = arithmetic.question(self.rng, asked, a, operation, b, self.heldout)
        if self.rng.random() < 0.3:
            question += "?" if self.rng.random() < 0.5 else "？" if asked == "zh" else "."
        kind = {"+": "add", "-": "sub", "*": "mul", "/": "div"}[operation]
        result = arithmetic.value(a, operation, b)
        return Turn(cased(question) if asked == "en" and self.rng.random() < 0.6 else question,
                    arithmetic.answer(self.rng, answered, a, operation, b), answered, f"sum.{kind}",
                    [f"= {result}。", f"= {result}.", f"等于 {result}。", f"is {result}."],
                    ("sum", a, operation, b), arithmetic.steps(answered, a, operation, b))

    def fact(self, asked, answered):
        draw, zh = self.rng.random(), answered == "zh"
        ask_zh = asked == "zh"
        if draw < 0.5:
            row = self.rng.choice(list(slots.CAPITALS.values()))
            country, capital = (row[0], row[1]) if zh else (row[2], row[3])
            if self.rng.random() < 0.75:
                question = self.phrase(slots.CAPITAL[asked]).replace("{x}", row[0] if ask_zh else row[2])
                key = capital
            else:
                question = self.phrase(slots.CAPITAL_OF[asked]).replace("{x}", row[1] if ask_zh else row[3])
                key = country
            answer = f"{country}的首都是{capital}。" if zh else f"The capital of {country} is {capital}."
            name = "capital"
        elif draw < 0.8:
            day = self.rng.randrange(7)
            step = self.rng.choice((1, -1))
            frames = slots.WEEKDAY_AFTER if step == 1 else slots.WEEKDAY_BEFORE
            question = self.phrase(frames[asked]).replace("{x}", slots.WEEKDAYS[asked][day])
            days = slots.WEEKDAYS[answered]
            key = days[(day + step) % 7]
            word = ({1: "后", -1: "前"} if zh else {1: "after", -1: "before"})[step]
            answer = f"{days[day]}的{word}一天是{key}。" if zh else f"The day {word} {days[day]} is {key}."
            name = "weekday"
        else:
            row = self.rng.choice(list(slots.THING_COLOURS.values()))
            question = self.phrase(slots.THING_COLOUR[asked]).replace("{x}", row[0] if ask_zh else row[2])
            thing, key = (row[0], row[1]) if zh else (row[2], row[3])
            answer = f"{thing}是{key}的。" if zh else f"{cased(thing)} is {key}."
            name = "colour"
        return Turn(self.ask(asked, question), answer, answered, f"fact.{name}", [key], ("other",), THOUGHTS["facts"][answered])

    def memory_value(self, kind, language):
        if kind == "city":
            return self.rng.choice(slots.CITIES[language])
        if kind == "colour":
            return self.rng.choice(slots.COLOURS[language])
        if self.heldout:
            return self.rng.choice(slots.HELDOUT_NAMES[language])
        if language == "zh":
            draw = self.rng.random()
            if draw < 0.35:
                return self.rng.choice(slots.NICKNAMES.split())
            if draw < 0.45:
                return "小" + self.rng.choice(slots.GIVEN)
            if draw < 0.55:
                return self.rng.choice(slots.ENGLISH_NAMES.split())
            return self.rng.choice(slots.SURNAMES) + "".join(self.rng.choices(slots.GIVEN, k=self.rng.choice((1, 2, 2))))
        if self.rng.random() < 0.4:  # a made-up name, so that any sequence of letters can be copied
            start = self.rng.choice(("", "", "A", "E", "I", "O"))
            middle = "".join(self.rng.choice("b c d f g h j k l m n p r s t v w z br ch cl dr gr st th tr".split()) + self.rng.choice("a e i o u ai ea ie y".split())
                             for _ in range(self.rng.randint(1, 3)))
            return cased(start.lower() + middle + self.rng.choice(("", "", "l", "n", "r", "s", "m", "ck", "nd", "rt", "th", "x")))
        return self.rng.choice(slots.ENGLISH_NAMES.split())

    def statement(self, kind, asked, answered, held):
        told, replies, _, _, _ = slots.MEMORY[kind][asked]
        replies = slots.MEMORY[kind][answered][1]
        said = self.memory_value(kind, asked)
        held[kind] = said
        question = self.phrase(told).replace("{v}", said)
        answer = self.rng.choice(replies).replace("{v}", said)
        if kind == "name" and asked == "en" and self.rng.random() < 0.1:
            question = question.lower()  # the answer still writes the name with a capital
        question += self.rng.choices(("", "。" if asked == "zh" else ".", "！" if asked == "zh" else "!"), (45, 40, 15))[0]
        if asked == "en" and self.rng.random() < 0.6:
            question = cased(question)
        return Turn(question, cased(answer) if answered == "en" else answer, answered, f"tell.{kind}", [said], ("other",), THOUGHTS["memory"][answered])

    def recall(self, kind, asked, answered, held):
        question = self.ask(asked, self.phrase(slots.MEMORY[kind][asked][2]))
        if kind in held:
            answer = self.rng.choice(slots.MEMORY[kind][answered][3]).replace("{v}", held[kind])
            return Turn(question, answer, answered, f"recall.{kind}", [held[kind]], ("other",), THOUGHTS["memory"][answered])
        answers = slots.MEMORY[kind][answered][4]
        return Turn(question, self.rng.choice(answers), answered, f"recall_unknown.{kind}",
                    ["还没有告诉", "还不知道", "have not told", "do not know your name"], ("other",), THOUGHTS["memory"][answered])

    def other_language(self, previous, wanted):
        """The previous answer in another language, or None when it has none."""
        kind = previous.topic[0] if previous.topic else "other"
        if kind == "intent" and previous.topic[1] not in ("speak_english", "speak_chinese"):
            return self.rng.choice(self.by_name[previous.topic[1]].answers[wanted])
        if kind == "concept":
            intent = self.by_name[previous.topic[1]]
            return self.rng.choice({"what": intent.answers, "why": intent.why, "example": intent.example}[previous.topic[2]][wanted])
        if kind == "sum":
            return arithmetic.answer(self.rng, wanted, *previous.topic[1:])
        return None

    def follow(self, previous, asked, kind=None):
        """A question that only makes sense after the previous turn; the answer stays in that turn's language."""
        rng, answered = self.rng, previous.language
        kinds = ["again", "translate", "more", "example", "why"]
        kind = kind or rng.choices(kinds, (22, 22, 22, 17, 17))[0]
        thought = THOUGHTS["follow"]
        topic = previous.topic[0] if previous.topic else "other"
        if kind == "again":
            return Turn(self.ask(asked, self.phrase(slots.AGAIN[asked])), previous.answer, answered, "again", [previous.answer],
                        previous.topic, thought[answered])
        if kind == "translate":
            wanted = "en" if answered == "zh" else "zh"
            text = self.other_language(previous, wanted)
            if text is None:
                return None
            pair = [p for p in slots.phrases(slots.TRANSLATE[wanted], self.heldout)
                    if bool(re.search("[\u4e00-\u9fff]", p)) == (asked == "zh")]
            keys = [text]
            if topic == "intent":
                keys = self.by_name[previous.topic[1]].keys[wanted]
            elif topic == "concept" and previous.topic[2] == "what":
                keys = self.by_name[previous.topic[1]].keys[wanted]
            return Turn(self.ask(asked, rng.choice(pair)), text, wanted, "translate", keys, previous.topic, thought[wanted])
        concept = self.by_name[previous.topic[1]] if topic == "concept" else None
        if kind == "more":
            if concept:
                aspect = "example" if previous.topic[2] == "why" else "why"
                text = rng.choice((concept.example if aspect == "example" else concept.why)[answered])
                topic_after = ("concept", concept.name, aspect)
            else:
                text, topic_after = rng.choice(slots.NO_MORE[answered]), ("other",)
            frames, keys = slots.MORE, [text] if concept else slots.NO_MORE[answered]
        elif kind == "example":
            text = rng.choice(concept.example[answered]) if concept else rng.choice(slots.NO_EXAMPLE[answered])
            topic_after = ("concept", concept.name, "example") if concept else ("other",)
            frames, keys = slots.EXAMPLE_AGAIN, [text] if concept else slots.NO_EXAMPLE[answered]
        else:
            if concept:
                text, topic_after = rng.choice(concept.why[answered]), ("concept", concept.name, "why")
                keys = [text]
            elif topic == "sum":
                text, topic_after = arithmetic.steps(answered, *previous.topic[1:]), ("other",)
                keys = [text]
            else:
                text, topic_after, keys = rng.choice(slots.NO_WHY[answered]), ("other",), slots.NO_WHY[answered]
            frames = slots.WHY_AGAIN
        return Turn(self.ask(asked, self.phrase(frames[asked])), text, answered, f"follow.{kind}", keys, topic_after, thought[answered])

    def fresh(self, asked, answered):
        """Any question that stands by itself."""
        files = self.files
        kind = self.rng.choices(("smalltalk", "facts", "duan", "concepts", "pairs", "sum", "fact", "unknown"),
                                (17, 3, 21, 26, 4, 20, 5, 4))[0]
        if kind == "sum":
            return self.sum(asked, answered)
        if kind == "fact":
            return self.fact(asked, answered)
        if kind == "unknown":
            return self.asked_intent(self.by_name["unknown"], asked, answered)
        intent = self.rng.choice(files[kind])
        if kind == "concepts":
            return self.concept(intent, asked, answered)
        if kind == "pairs":
            return self.pair(intent, asked, answered)
        if intent.name in ("speak_english", "speak_chinese"):
            answered = "en" if intent.name == "speak_english" else "zh"
        return self.asked_intent(intent, asked, answered)


def system_prompt(rng, maker, language):
    """Returns (text, language to answer in or None, persona or None)."""
    draw = rng.random()
    if draw < 0.80:
        return None, None, None
    if draw < 0.89:
        return rng.choice(slots.PLAIN_SYSTEM), None, None
    if draw < 0.96:
        forced = rng.choice(intent_files.LANGUAGES)
        return rng.choice(slots.LANGUAGE_SYSTEM[forced]), forced, None
    persona = maker.memory_value("name", language)
    return rng.choice(slots.PERSONA_SYSTEM[language]).replace("{v}", persona), None, persona


def dialogue(maker):
    """A whole dialogue for training: {"messages": [...], "think": None (off) or the thought before the last answer}."""
    rng = maker.rng
    base = rng.choices(intent_files.LANGUAGES, (54, 46))[0]
    system, forced, persona = system_prompt(rng, maker, base)
    length = rng.choices((1, 2, 3, 4, 5), (34, 26, 20, 12, 8))[0]
    held, turns = {}, []
    if persona and rng.random() < 0.85:
        who = rng.random() < 0.6
        intent = maker.by_name["who" if who else "greeting"]
        turn = maker.asked_intent(intent, base, base)
        turn.answer = rng.choice((slots.PERSONA_WHO if who else slots.PERSONA_HELLO)[base]).replace("{v}", persona)
        turn.topic = ("other",)
        turns.append(turn)
    sums_only = rng.random() < 0.16  # sums are short: a row of them costs little and is what they need
    if sums_only:
        length = max(length, 4)
    while len(turns) < length:
        asked = base
        if forced and rng.random() < 0.7:
            asked = "en" if forced == "zh" else "zh"
        elif not forced and rng.random() < 0.06:
            asked = "en" if base == "zh" else "zh"
        answered = forced or asked
        draw, turn = rng.random(), None
        if sums_only and draw < 0.9:
            turn = maker.sum(asked, answered)
        elif turns and not forced and draw < 0.30:
            turn = maker.follow(turns[-1], rng.choices((turns[-1].language, asked), (85, 15))[0])
        elif draw < 0.36:
            kind = rng.choices(("name", "city", "colour"), (70, 15, 15))[0]
            turn = maker.statement(kind, asked, answered, held) if kind not in held else maker.recall(kind, asked, answered, held)
        elif held and draw < 0.55:
            turn = maker.recall(rng.choice(list(held)), asked, answered, held)
        elif draw < 0.37:
            turn = maker.recall(rng.choices(("name", "city", "colour"), (70, 15, 15))[0], asked, answered, held)
        elif not turns and draw < 0.38:
            kind = rng.choice(("again", "more", "example", "why"))
            frames = {"again": slots.AGAIN, "more": slots.MORE, "example": slots.EXAMPLE_AGAIN, "why": slots.WHY_AGAIN}[kind]
            turn = Turn(noisy(rng, asked, maker.phrase(frames[asked])), rng.choice(slots.NOTHING_BEFORE[answered]), answered,
                        "nothing_before", [], ("other",), THOUGHTS["follow"][answered])
        if turn is None and not (persona and draw > 0.97):
            turn = maker.fresh(asked, answered)
        if turn:
            if persona and turn.intent in ("who", "greeting"):
                turn.answer = rng.choice((slots.PERSONA_WHO if turn.intent == "who" else slots.PERSONA_HELLO)[turn.language]).replace("{v}", persona)
                turn.topic = ("other",)
            turns.append(turn)
    messages = [{"role": "system", "content": system}] if system else []
    for turn in turns:
        messages += [{"role": "user", "content": turn.question}, {"role": "assistant", "content": turn.answer}]
    last = turns[-1]
    thinks = rng.random() < (0.28 if last.intent.startswith("sum.") else 0.09)
    return {"messages": messages, "think": last.thought if thinks else None}
