"""Play seeds by hand: `python -m tests.integration.chaos --seed N [--seconds 60] [--runs K]`. Exit 1: there are flaws."""

import argparse
import logging
import sys
from typing import Final

from tests.integration.chaos.play import quiet, run_alone

shown_at_most: Final = 20  # flaws


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.integration.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, required=True, help="of the first run")
    parser.add_argument("--seconds", type=float, default=60, help="how long faults and load go on, in a run")
    parser.add_argument("--runs", type=int, default=1, help="so many seeds, one after the other")
    parser.add_argument("--quiet", action="store_true", help="a line a run, without its schedule")
    asked = parser.parse_args()
    logging.disable()  # clients of a broker that is killed log that
    flawed = 0
    for seed in range(asked.seed, asked.seed + asked.runs):
        outcome, kept = run_alone(seed, asked.seconds, quiet if asked.quiet else print_at_once)
        print_at_once(str(outcome))
        if kept:
            flawed += 1
            print_at_once("\n".join([*outcome.flaws[:shown_at_most], f"its logs, and all flaws: {kept}"]))
    return 1 if flawed else 0


def print_at_once(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
