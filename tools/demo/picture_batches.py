"""Endless batches of pictures of one size and of the dialogues about them, drawn in other processes."""
import multiprocessing
import os
import queue as queue_module
import random

import numpy
from tokenizers import Tokenizer

import image_texts
import images
from train import NO_THOUGHT

THOUGHTS = {True: ("看图里的字。", "图中有字，读出来。"), False: ("I read the image.", "The image has text; I read it.")}
SYSTEMS = ("You are a helpful assistant.", "你是一个有用的助手。", "Answer briefly.", "请用中文回答。")
# Regular, irregular, digits, receipts, documents.
ALL, SIMPLE = (34, 22, 14, 15, 15), (60, 0, 40, 0, 0)


def produce(queue, seed, patches, most_tokens, level, tokenizer):
    """Puts (pictures [n, height, width, 3], slot labels, what Dialogues.batch() gives) of one size each.

    level (0, 1, 2) may change on the way.
    """
    rng, waiting, parent = random.Random(seed), {}, os.getppid()
    dialogues = Dialogues(Tokenizer.from_file(tokenizer))
    while True:
        easy = level.value == 0
        kind = rng.choices(image_texts.KINDS, SIMPLE if level.value < 2 else ALL)[0]
        picture, centres, _, asked = images.sample(rng, kind, False, easy, easy and rng.random() < 0.5, most_tokens)
        array = images.pixels(picture)
        group = waiting.setdefault(array.shape, [])
        group.append((array, images.slot_labels(picture, centres, array.shape), asked))
        # A small picture costs mostly its dialogue, about 40 tokens; a large one its patches.
        if len(group) >= max(4, patches // (array.shape[0] * array.shape[1] // 256 + 24)):
            pictures, slots, talks = ([one[part] for one in group] for part in range(3))
            batch = (numpy.stack(pictures), numpy.stack(slots),
                     dialogues.batch(rng, array.shape[0] * array.shape[1] // images.FACTOR ** 2, talks))
            while True:
                try:
                    queue.put(batch, timeout=5)
                    break
                except queue_module.Full:
                    if os.getppid() != parent:  # the training was killed
                        queue.cancel_join_thread()
                        return
            waiting[array.shape] = []


class Source:
    """`workers` processes that draw; a batch has about `patches` patches."""

    def __init__(self, seed, patches, tokenizer, most_tokens=40, level=2, workers=1):
        context = multiprocessing.get_context("spawn")
        self.level = context.Value("i", level)
        self.queue = context.Queue(8 + workers)
        self.processes = [context.Process(target=produce, daemon=True,
                                          args=(self.queue, seed + (worker << 32), patches, most_tokens, self.level, str(tokenizer)))
                          for worker in range(workers)]
        for process in self.processes:
            process.start()

    def next(self):
        return self.queue.get()

    def stop(self):
        for process in self.processes:
            process.terminate()


class Dialogues:
    """Turns questions and answers about a picture into token ids. Answers are spelt one character at a time."""

    def __init__(self, tokenizer):
        self.tokenizer = tokenizer
        self.cache = {}
        self.image = tokenizer.token_to_id("<|image_pad|>")

    def ids(self, text):
        if text not in self.cache:
            self.cache[text] = self.tokenizer.encode(text).ids
        return self.cache[text]

    def spell(self, text):
        return [i for character in text for i in self.ids(character)]

    def prefix(self, system):
        return self.ids(f"<|im_start|>system\n{system}<|im_end|>\n" * bool(system) + "<|im_start|>user\n<|vision_start|>")

    def one(self, rng, prefix, count, asked, plain=False):
        """(ids, wanted) of one dialogue about an image of count tokens; plain: the first question, thinking off."""
        turns = list(asked) if not plain and rng.random() < 0.5 else [asked[0] if plain else rng.choice(asked)]
        ids = prefix + [self.image] * count + self.ids("<|vision_end|>")
        wanted = [False] * len(ids)

        def add(piece, learn):
            ids.extend(piece)
            wanted.extend([learn] * len(piece))

        stop = self.ids("<|im_end|>")
        for number, (question, answer) in enumerate(turns):
            if number:
                add(self.ids("<|im_start|>user\n"), False)
            add(self.tokenizer.encode(question + "<|im_end|>\n<|im_start|>assistant\n").ids, False)
            if number + 1 < len(turns):
                if rng.random() < 0.3:
                    add(self.tokenizer.encode(answer + "<|im_end|>").ids, False)
                else:
                    start = len(ids)
                    add(self.spell(answer) + stop, True)
                    wanted[start] = False
            elif not plain and rng.random() < 0.12:
                thought = rng.choice(THOUGHTS[any(ord(one) > 0x2000 for one in question)])
                add(self.ids(f"<think>\n{thought}\n</think>\n\n") + self.spell(answer) + stop, True)
            else:
                add(self.ids(NO_THOUGHT), False)
                add(self.spell(answer) + stop, True)
            add(self.ids("\n"), False)
        return ids, wanted

    def batch(self, rng, count, group, plain=False):
        """(ids [batch, tokens], places, labels, place of the first image token)."""
        system = rng.choice(SYSTEMS) if not plain and rng.random() < 0.1 else ""
        prefix = self.prefix(system)
        rows = [self.one(rng, prefix, count, asked, plain) for asked in group]
        width = (max(len(ids) for ids, _ in rows) + 6) // 8 * 8
        table = numpy.zeros((len(rows), width), dtype=numpy.int64)
        places, labels = [], []
        for row, (ids, wanted) in enumerate(rows):
            table[row, :len(ids) - 1] = ids[:-1]
            for i in range(1, len(ids)):
                if wanted[i]:
                    places.append(row * width + i - 1)
                    labels.append(ids[i])
        return table, numpy.array(places), numpy.array(labels), len(prefix)
