"""What against_genai.py and against_transformers.py share: rounds of another program and duan in turn, and their medians."""

import argparse
import json
import statistics
import subprocess


def arguments(description, model):
    """The command line; `model` names what is given in the first place."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", metavar=model)
    parser.add_argument("--duan", default="build/release/bin/duan")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    return parser.parse_args()


def duan_round(args, flags):
    command = [args.duan, "bench", args.model, "-p", "512", "-n", "32", "-d", "16", "-t", str(args.threads), "-r", "1",
               "--json", *flags]
    report = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    rates = {row["test"]: row["tokens_per_second"] for row in report["tests"]}
    return rates["prefill 512"], rates["decode 32 at 16"]


def compare(args, name, their_round, version, duan_flags):
    """Prints each round, the medians and their ratios. their_round() -> tok/s of prefill 512 and of decode 32 at 16."""
    their_round()  # warm-up
    rows = []
    for round_number in range(args.rounds):
        theirs, ours = their_round(), duan_round(args, duan_flags)
        rows.append((*theirs, *ours))
        print(f"round {round_number + 1}: prefill 512 {name} {theirs[0]:.1f} duan {ours[0]:.1f} tok/s; "
              f"decode {name} {theirs[1]:.2f} duan {ours[1]:.2f} tok/s", flush=True)
    medians = [statistics.median(column) for column in zip(*rows)]
    print(f"median: prefill 512 {medians[2]:.1f} / {medians[0]:.1f} = {medians[2] / medians[0]:.2f}x; "
          f"decode {medians[3]:.2f} / {medians[1]:.2f} = {medians[3] / medians[1]:.2f}x ({version})")
