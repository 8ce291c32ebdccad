#!/usr/bin/env python3
"""Kills `duan quantize` (SIGKILL) at random moments, again and again, and looks at what is left.

After each kill the output folder is not there, or it is complete and equal, byte for byte, to that of a run that nobody
stopped (time and memory in the report apart). The same command then goes on where the killed one was, until it is through;
then it starts from nothing. One kill in three waits for the output to be written, so that some meet the last files, the
rename and the removal of the unfinished work. Nothing else may be left beside the outputs in the end.

usage: kills.py [--duan build/release/bin/duan] [--kills 50] [--seed N] [--method awq-gptq int8-static]
Needs Python alone. Exits 1 at the first difference, and leaves the folders for a look.
"""

import argparse
import collections
import json
import pathlib
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

SOURCES = pathlib.Path(__file__).resolve().parents[2]
RUN_ROWS = re.compile("<tr><td>(time|peak RSS|taken over from a stopped run)</td>.*?</tr>\n", re.S)


class Difference(Exception):
    pass


def contents(folder):
    """File by file; what a run says of its own time, memory and interruptions is taken out of the reports."""
    files = {}
    for path in sorted(folder.rglob("*")):
        if path.is_dir():
            continue
        content = path.read_bytes()
        if path.name == "quantization_report.json":
            report = json.loads(content)
            del report["run"]
            content = json.dumps(report).encode()
        if path.name == "quantization_report.html":
            content = RUN_ROWS.sub("", content.decode()).encode()
        files[str(path.relative_to(folder))] = content
    return files


def compare(found, expected, folder):
    for name in sorted(found.keys() | expected.keys()):
        if found.get(name) != expected.get(name):
            what = "is missing" if name not in found else "should not be there" if name not in expected else "differs"
            raise Difference(f"{folder / name} {what}")


def wait_until_written(process, root, name):
    """Until the folder that becomes the output is there, or the process has ended."""
    while process.poll() is None and not any(root.glob(f".{name}.partial-*")):
        time.sleep(0.0005)


def check_method(method, arguments, root):
    def command(out):
        # Two threads: what is killed may be at any point in either.
        return [arguments.duan, "quantize", arguments.model, "-o", root / out, "--method", method, "--calibration",
                SOURCES / "models/demo/calibration.jsonl", "--samples", str(arguments.samples), "-t", "2"]

    def run(out):
        return subprocess.Popen(command(out), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)

    start = time.monotonic()
    whole = run("whole")
    wait_until_written(whole, root, "whole")
    computing = time.monotonic() - start
    errors = whole.communicate()[1]
    total = time.monotonic() - start
    if whole.returncode:
        raise Difference(f"the run that nobody stopped ended with {whole.returncode}: {errors}")
    expected = contents(root / "whole")

    killed, unfinished = root / "killed", root / "killed.partial"
    left = collections.Counter()
    blocks = set()
    through = 0
    while left.total() < arguments.kills:
        process = run("killed")
        if left.total() % 3 == 2:
            wait_until_written(process, root, "killed")
            time.sleep(random.uniform(0, 1.2 * (total - computing)))
        else:
            time.sleep(random.uniform(0, 1.1 * total))
        process.send_signal(signal.SIGKILL)
        errors = process.communicate()[1]
        if process.returncode not in (0, -signal.SIGKILL):
            raise Difference(f"ended with {process.returncode}: {errors}")
        if process.returncode:
            if killed.exists():
                stage = "with the output complete"
            elif any(root.glob(".killed.partial-*")):
                stage = "while writing it"
            else:
                stage = "computing"
                blocks.add(len(list(unfinished.glob("block-*.json"))))
            left[stage] += 1
        if killed.exists():
            compare(contents(killed), expected, killed)
        if process.returncode and killed.exists() and unfinished.exists() and not any(unfinished.iterdir()):
            unfinished.rmdir()  # all that was left to do
        if process.returncode == 0 or (killed.exists() and not unfinished.exists()):
            if not killed.exists() or unfinished.exists():
                raise Difference(f"ended with 0, but left {sorted(path.name for path in root.iterdir())}")
            through += 1
            shutil.rmtree(killed)

    # From where the last one was killed to the end.
    done = subprocess.run(command("killed"), capture_output=True, text=True)
    if done.returncode and not killed.exists():
        raise Difference(f"the last run ended with {done.returncode}: {done.stderr}")
    compare(contents(killed), expected, killed)
    if not done.returncode:
        rest = sorted(path.name for path in root.iterdir() if path.name not in ("whole", "killed"))
        if rest:
            raise Difference(f"left beside the outputs: {rest}")
    stages = ", ".join(f"{count} {stage}" for stage, count in left.items())
    finished = f"{min(blocks)} to {max(blocks)} blocks finished before" if blocks else "none before it was written"
    print(f"ok    {method}: {left.total()} kills ({stages}; {finished}), {through + 1} times through, {len(expected)} files "
          f"equal; a run takes {total:.1f} s", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--duan", default=SOURCES / "build/release/bin/duan")
    parser.add_argument("--model", default=SOURCES / "models/demo")
    parser.add_argument("--method", nargs="+", default=["awq-gptq", "int8-static"])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--samples", type=int, default=4)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    arguments = parser.parse_args()
    print(f"--seed {arguments.seed}")
    random.seed(arguments.seed)
    for method in arguments.method:
        root = pathlib.Path(tempfile.mkdtemp(prefix="duan-kills-"))
        try:
            check_method(method, arguments, root)
        except Difference as difference:
            print(f"FAIL  {method}: {difference}")
            return 1
        shutil.rmtree(root)
    return 0


if __name__ == "__main__":
    sys.exit(main())
