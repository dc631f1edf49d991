"""Play one seed and print what happened: `python -m tests.simulation --seed N [--world NAME | --kill STEP]`."""

import argparse
import logging
import sys
from time import perf_counter

from tests.lab.workload.workload import mixed, of_kinds
from tests.simulation.checkers import violations
from tests.simulation.faults.kills import Kill, states_left
from tests.simulation.runs.play import play
from tests.simulation.runs.worlds import worlds


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--world", choices=worlds, help="one of the seeded worlds, with all its faults")
    parser.add_argument(
        "--leads", type=int, help="this many leads of any kind; else one each of the kinds that matter most"
    )
    parser.add_argument("--kill", type=int, metavar="STEP", help="the worker dies before this step")
    parser.add_argument("--unsent", action="store_true", help="the end of a transaction that is under way then is lost")
    parser.add_argument("--state", choices=states_left, default="kept", help="the state file that its successor finds")
    parser.add_argument("--quiet", action="store_true", help="print no trace, only the digest")
    options = parser.parse_args()
    logging.disable()

    kills = [Kill(options.kill, lands=not options.unsent, state=options.state)] if options.kill else []
    began = perf_counter()
    workload = mixed(options.seed, options.leads) if options.leads else of_kinds(options.seed)
    run = worlds[options.world](options.seed) if options.world else play(workload, kills)
    took_ms = (perf_counter() - began) * 1000
    wrong = violations(run)
    if not options.quiet:
        print(run.trace.text(), end="\n\n")
    print(*wrong, sep="\n", end="\n\n" if wrong else "")
    steps = " + ".join(str(worker.steps) for worker in run.workers)
    calls = len(run.server.arrivals)
    print(f"seed {options.seed}: {len(wrong)} violations, {steps} steps, {calls} calls in {took_ms:.0f} ms")
    print(f"digest {run.digest()}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
