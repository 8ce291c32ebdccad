"""Small sums in many phrasings, with an answer and a short chain of thought. Some pairs are kept for evaluation."""
import slots

ZH_DIGITS = "零一二三四五六七八九"
EN_ONES = ("zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
           "seventeen eighteen nineteen").split()
EN_TENS = "- - twenty thirty forty fifty sixty seventy eighty ninety".split()

OPERATIONS = {
    "+": ("加 加上 + ＋".split(), ["plus", "+", "and"]),
    "-": ("减 减去 - 减掉".split(), ["minus", "-"]),
    "*": ("乘 乘以 × * x".split(), ["times", "*", "x", "multiplied by"]),
    "/": ("除以 ÷ /".split(), ["divided by", "/"]),
}
FRAMES = {
    "zh": """{e}等于几 / {e}等于多少 / {e}是多少 / {e}= / {e}=? / {e} / 计算{e} / 算一下{e} / 帮我算{e} / {e}得多少 / {e}得几 / {e}的结果是什么 /
请计算{e} / {e}是几 / 请问{e}等于多少 / 你会算{e}吗 / 那{e}呢 / {e}等于？ / 求一下{e} / {e}答案是几 / 麻烦计算{e} / {e}的答案 / ~麻烦算算{e} / ~{e}的答案是多少 / ~求{e}""",
    "en": """what is {e} / {e} / {e}= / {e} = ? / what's {e} / calculate {e} / compute {e} / how much is {e} / {e} equals what / please calculate {e} /
what does {e} equal / can you calculate {e} / and {e} / tell me {e} / solve {e} / what do you get for {e} / the result of {e} / work {e} out / could you calculate {e} / give me {e} / ~give me the result of {e} /
~work out {e} / ~could you compute {e}""",
}


def zh_number(n):
    if n < 10:
        return ZH_DIGITS[n]
    if n == 100:
        return "一百"
    tens, ones = divmod(n, 10)
    return ("" if tens == 1 else ZH_DIGITS[tens]) + "十" + (ZH_DIGITS[ones] if ones else "")


def en_number(n):
    if n < 20:
        return EN_ONES[n]
    if n == 100:
        return "one hundred"
    tens, ones = divmod(n, 10)
    return EN_TENS[tens] + ("-" + EN_ONES[ones] if ones else "")


def is_heldout(a, operation, b):
    """About one in twelve two-digit additions and subtractions never occurs in training."""
    return operation in "+-" and max(a, b) > 10 and (a * 131 + b * 37 + (operation == "-") * 17) % 12 == 0


def value(a, operation, b):
    return {"+": a + b, "-": a - b, "*": a * b, "/": a // b if b else 0}[operation]


def operands(rng, heldout=False):
    """A sum within 100 (now and then somewhat above), or a line of the multiplication table."""
    while True:
        operation = rng.choices("+-*/", (38, 43, 14, 5))[0]
        if operation == "+":
            top = rng.choices((10, 20, 99), (30, 15, 55))[0]
            a, b = rng.randint(0, top), rng.randint(0, top)
            if a + b > 100 and rng.random() < 0.75:
                continue
        elif operation == "-":
            top = rng.choices((10, 20, 100), (30, 15, 55))[0]
            a, b = rng.randint(0, top), rng.randint(0, top)
            if a < b and rng.random() < 0.93:
                a, b = b, a
        elif operation == "*":
            a, b = rng.randint(1, 9), rng.randint(1, 9)
            if rng.random() < 0.1:
                a = rng.choice((0, 10))
        else:
            b, c = rng.randint(1, 9), rng.randint(1, 9)
            a = b * c
        if is_heldout(a, operation, b) == heldout:
            return a, operation, b


def expression(rng, language, a, operation, b):
    sign = rng.choice(OPERATIONS[operation][0 if language == "zh" else 1])
    in_words = rng.random() < 0.3 and sign.isalpha() and max(a, b) <= 100
    if language == "zh":
        if in_words and sign not in "x":
            return zh_number(a) + sign + zh_number(b)
        space = " " if rng.random() < 0.2 else ""
        return f"{a}{space}{sign}{space}{b}"
    if in_words and sign != "x":
        return f"{en_number(a)} {sign} {en_number(b)}"
    space = " " if len(sign) > 1 or rng.random() < 0.5 else ""
    return f"{a}{space}{sign}{space}{b}"


def question(rng, language, a, operation, b, heldout=False):
    frame = rng.choice(slots.phrases(FRAMES[language], heldout))
    return frame.replace("{e}", expression(rng, language, a, operation, b))


SYMBOL = {"+": "+", "-": "-", "*": "×", "/": "÷"}


def answer(rng, language, a, operation, b):
    c = value(a, operation, b)
    if rng.random() < 0.9:
        return f"{a} {SYMBOL[operation]} {b} = {c}" + ("。" if language == "zh" else ".")
    word = {"zh": {"+": "加", "-": "减", "*": "乘", "/": "除以"}, "en": {"+": "plus", "-": "minus", "*": "times", "/": "divided by"}}[language][operation]
    return f"{a} {word} {b} 等于 {c}。" if language == "zh" else f"{a} {word} {b} is {c}."


def steps(language, a, operation, b):
    """How the result comes about, digit by digit: the thinking block and the answer to "why?"."""
    c = value(a, operation, b)
    zh = language == "zh"
    (at, ao), (bt, bo) = divmod(a, 10), divmod(b, 10)
    if operation == "+" and max(a, b) >= 10:
        ones = ao + bo
        carry = ones >= 10
        first = f"{ao} + {bo} = {ones}"
        second = f"{at} + {bt}{' + 1' if carry else ''} = {at + bt + carry}"
        if zh:
            return f"个位 {first}{'，进 1' if carry else ''}；十位 {second}。结果是 {c}。"
        return f"Ones: {first}{', carry 1' if carry else ''}. Tens: {second}. The result is {c}."
    if operation == "-" and a >= 10 and a >= b:
        borrow = ao < bo
        first = f"{ao + 10 * borrow} - {bo} = {ao + 10 * borrow - bo}"
        second = f"{at}{' - 1' if borrow else ''} - {bt} = {at - borrow - bt}"
        if zh:
            return f"个位{'不够，借 1，' if borrow else ' '}{first}；十位 {second}。结果是 {c}。"
        return f"Ones: {'borrow 1, ' if borrow else ''}{first}. Tens: {second}. The result is {c}."
    line = f"{a} {SYMBOL[operation]} {b} = {c}"
    if operation in "*/":
        return f"查乘法表，{line}。" if zh else f"From the multiplication table, {line}."
    return f"直接算，{line}。" if zh else f"Counting gives {line}."
