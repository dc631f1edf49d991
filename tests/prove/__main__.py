"""Prove that DESIGN §6 holds, by as many seeds as there is time for, and write a short report.

SEEDS fault schedules of whole workers, as many saturated locations of 45 minutes each, and a run of chaos on a real Kafka
for each hundred. `make prove` takes some minutes; `make prove SEEDS=2000` about an hour on two cores; other seeds
each night with `FIRST=`. Exit 1: a promise was broken, a bar of use or waiting missed, or it was interrupted: the report
shows how far it came.
"""

import argparse
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from datetime import date
from pathlib import Path
from time import monotonic, process_time
from typing import Final, TypeVar

from tests.integration.chaos import play
from tests.integration.chaos.schedule import seeds_in_proof

from . import alone, rebalances, schedules
from .report import Proof, page

parts: Final = ("alone", "schedules", "rebalances", "chaos")
minutes: Final = 45  # of each saturated location
rebalanced_s: Final = 480
chaos_s: Final = 60
seeds_per_chaos: Final = 100
print_every_s: Final = 10
T = TypeVar("T")
Of = TypeVar("Of")


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.prove", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"some of {', '.join(parts)}; none: all")
    parser.add_argument("--seeds", type=positive, default=200, help="how many (200)")
    parser.add_argument("--first", type=int, default=0, metavar="SEED", help="the first one (0)")
    parser.add_argument("--report", type=Path, default=Path("build/prove.md"), help="where it goes (build/prove.md)")
    options = parser.parse_args()
    if unknown := {*options.parts} - {*parts}:
        parser.error(f"no such part: {', '.join(sorted(unknown))}; there are {', '.join(parts)}")
    logging.disable()  # clients of a broker that is killed log that
    chosen, seeds, began = options.parts or parts, range(options.first, options.first + options.seeds), monotonic()
    proof = Proof(command(chosen, seeds), date.today().isoformat())  # noqa: DTZ011  # the day where it runs
    try:
        prove(proof, chosen, seeds)
    except KeyboardInterrupt:
        proof.interrupted = True
    proof.took_s = monotonic() - began
    report = page(proof)
    options.report.parent.mkdir(parents=True, exist_ok=True)
    options.report.write_text(report)
    print(f"\n{report}\nwritten to {options.report}")
    return 0 if proof.holds else 1


def command(chosen: Sequence[str], seeds: range) -> str:
    first = f" FIRST={seeds.start}" if seeds.start else ""
    return f"make prove SEEDS={len(seeds)}{first}" + ("" if {*chosen} == {*parts} else f' PARTS="{" ".join(chosen)}"')


def positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return number


def prove(proof: Proof, chosen: Sequence[str], seeds: range) -> None:
    """Run part by part. `proof` holds the outcomes so far, should it be interrupted."""
    with ProcessPoolExecutor(initializer=start_process) as pool:
        if "alone" in chosen:
            for seen, cpu_s in progress("alone", in_pool(pool, located, seeds), len(seeds)):
                proof.alone, proof.alone_cpu_s = proof.alone + seen, proof.alone_cpu_s + cpu_s
        if "schedules" in chosen:
            for outcome in progress("schedules", in_pool(pool, schedules.run, seeds), len(seeds)):
                proof.schedules.append(outcome)
            proof.schedules_speed = pool.submit(schedules.speed).result()
        if "rebalances" in chosen:
            measured = in_pool(pool, rebalanced, rebalances.cases)
            for row, cpu_s in progress("rebalances", measured, len(rebalances.cases)):
                proof.rebalances.append(row)
                proof.rebalances_cpu_s += cpu_s
            proof.rebalances.sort(key=lambda row: rebalances.cases.index(row.case))
    if "chaos" in chosen:
        number, first = max(1, len(seeds) // seeds_per_chaos), seeds_in_proof[0] + seeds.start
        for run in progress("chaos", chaotic(range(first, first + number)), number):
            proof.chaos.append(run)


def start_process() -> None:
    """Prepare a process of the pool: its parent handles Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    logging.disable()
    os.nice(5)


def located(seed: int) -> tuple[alone.Alone, float]:
    began = process_time()
    return alone.prove(range(seed, seed + 1), minutes), process_time() - began


def rebalanced(case: rebalances.Case) -> tuple[rebalances.Row, float]:
    began = process_time()
    return rebalances.measured(case, rebalanced_s), process_time() - began


def in_pool(pool: ProcessPoolExecutor, work: Callable[[Of], T], of: Iterable[Of]) -> Iterator[T]:
    """Return results as they come. Work that hasn't begun is cancelled once the caller stops."""
    pending = [pool.submit(work, one) for one in of]
    try:
        for done in as_completed(pending):
            yield done.result()
    finally:
        for one in pending:
            one.cancel()


def chaotic(seeds: range) -> Iterator[play.ChaosOutcome]:
    """Run one after the other, each with a broker of its own. Keep the logs of runs with flaws."""
    for seed in seeds:
        outcome, kept = play.run_alone(seed, chaos_s)
        print(f"  {outcome}" + (f"; see {kept}" if kept else ""), flush=True)
        yield outcome


def progress(part: str, results: Iterable[T], total: int) -> Iterator[T]:
    """Print the progress now and then."""
    began = printed = monotonic()
    for done, one in enumerate(results, 1):
        now = monotonic()
        if now - printed > print_every_s or done == total:
            left_s = (now - began) / done * (total - done)
            print(f"{part}: {done:,} of {total:,}" + (f", {left_s / 60:.0f} min left" if left_s else ""), flush=True)
            printed = now
        yield one


if __name__ == "__main__":
    sys.exit(main())
