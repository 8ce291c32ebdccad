"""What every script of tests/interop does: its command line, its checks, and the count of the cases that pass."""

import argparse
import os
import pathlib
import subprocess

SOURCES = pathlib.Path(__file__).resolve().parents[3]


class Failure(Exception):
    pass


def check(condition, message):
    if not condition:
        raise Failure(message)


def run_duan(program, *arguments):
    """What it writes to stdout; Failure if it did not do its work."""
    done = subprocess.run([program, *map(str, arguments)], capture_output=True, text=True)
    # `duan compare` ends with 1 where it finds a difference, too.
    compared = arguments[0] == "compare" and done.returncode == 1 and done.stdout
    check(done.returncode == 0 or compared, f"duan {arguments[0]} ended with {done.returncode}: {done.stderr.strip()}")
    return done.stdout


def parser(description):
    """With the options tests/interop/run gives, and those of class Cases."""
    made = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--duan", default=str(SOURCES / "build/release/bin/duan"))
    made.add_argument("--reference", default=os.environ.get("DUAN_REFERENCE_DIR"), help="folder of further models")
    made.add_argument("--only", nargs="*", default=[], help="words the name of a case must contain")
    return made


class Cases:
    """Runs cases one after the other, prints a line for each and counts them."""

    def __init__(self, only):
        self.only = only
        self.ran = self.failed = 0

    def wants(self, title):
        return all(word in title for word in self.only)

    def run(self, title, case):
        """case() -> what to print behind "ok"."""
        self.ran += 1
        try:
            print(f"ok    {title}: {case()}", flush=True)
        except Exception as error:  # whatever a consumer throws is what these scripts are here to report
            self.failed += 1
            print(f"FAIL  {title}: {type(error).__name__}: {error}", flush=True)

    def finish(self, what):
        """Prints the count and returns the exit code; no case at all is a failure."""
        print(f"{self.ran - self.failed} of {self.ran} {what} pass")
        return 1 if self.failed or not self.ran else 0
