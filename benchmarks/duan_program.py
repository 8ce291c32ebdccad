"""Running duan from comparisons."""

import subprocess
import sys


def duan(program, *arguments, stdin=None):
    """Its standard output. Ends the comparison with duan's message if it fails."""
    done = subprocess.run([program, *map(str, arguments)], input=stdin, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"duan {' '.join(map(str, arguments))}: {done.stderr}")
    return done.stdout


def judged_on(held_out, think, tokens):
    """What `duan eval` is told of a file of dialogues (.jsonl), whose answers count, or of lists of token ids."""
    if held_out.suffix == ".jsonl":
        return ["--chat", held_out, "--think", think, "--max-tokens", tokens]
    return ["--ids", held_out]
