"""Play one seed and tell what happened: `python -m tests.simulation --seed N [--world NAME | --kill STEP]`."""

import argparse
import logging
import sys
from time import perf_counter
from typing import Final

from .ailments import ailing, poisoned, stepped
from .everything import everything
from .named import named
from .oracles import violations
from .play import play
from .saturation import crowded, neighbours, pressed
from .talking import chatting, interrupted, turned
from .toil import jobs, shared_jobs, spent, stalled
from .trouble import quarrel, stormy, troubled
from .worker import Kill, founds
from .world import mixed, scenario

worlds: Final = {
    world.__name__: world
    for world in (
        troubled,
        stormy,
        quarrel,
        named,
        ailing,
        poisoned,
        stepped,
        jobs,
        spent,
        stalled,
        shared_jobs,
        chatting,
        interrupted,
        turned,
        crowded,
        pressed,
        neighbours,
        everything,
    )
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--world", choices=worlds, help="one of the seeded worlds, with all that goes wrong in it")
    parser.add_argument(
        "--leads", type=int, help="so many leads of any kind; else one each of the kinds that matter most"
    )
    parser.add_argument("--kill", type=int, metavar="STEP", help="the worker dies before this step")
    parser.add_argument(
        "--unsent", action="store_true", help="the end of a transaction that is on its way then is lost"
    )
    parser.add_argument("--state", choices=founds, default="kept", help="the state file that its successor finds")
    parser.add_argument("--quiet", action="store_true", help="no trace, only the digest")
    said = parser.parse_args()
    logging.disable()

    kills = [Kill(said.kill, lands=not said.unsent, state=said.state)] if said.kill else []
    began = perf_counter()
    told = mixed(said.seed, said.leads) if said.leads else scenario(said.seed)
    run = worlds[said.world](said.seed) if said.world else play(told, kills)
    took = perf_counter() - began
    wrong = violations(run)
    if not said.quiet:
        print(run.trace.text(), end="\n\n")
    print(*wrong, sep="\n", end="\n\n" if wrong else "")
    steps = " + ".join(str(worker.steps) for worker in run.workers)
    print(
        f"seed {said.seed}: {len(wrong)} violations, {steps} steps, {len(run.server.arrivals)} calls in {took * 1000:.0f} ms"
    )
    print(f"digest {run.digest()}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
