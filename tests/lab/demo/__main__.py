"""Run the demo: `python -m tests.lab.demo`, with `--help` for other sizes."""

import argparse
import asyncio
import signal
import sys
import time

from processor.kafka import KafkaRefused, KafkaUnreachable
from tests.lab.demo.run import run_demo
from tests.lab.demo.view import View
from tests.lab.harness.process import ProcessFailed
from tests.lab.kafka_node import NoKafka, kafka
from tests.lab.workload.large import Size

passed, failed = 0, 1


def main() -> int:
    """Return 0 if everything came out right, 1 if not, or if the demo couldn't run."""
    given = vars(options().parse_args())
    keep, size, view = given.pop("keep"), Size(**given), View()
    view.introduce(size)
    interrupts = (signal.SIGINT, signal.SIGTERM)  # the first one is ignored from birth in a shell's background
    before = [signal.signal(number, signal.default_int_handler) for number in interrupts]
    since = time.monotonic()
    try:
        with kafka(view.note) as broker:
            view.phase(since, f"Kafka is up at {broker.bootstrap} ({broker.origin})")
            return passed if asyncio.run(run_demo(view, broker, size, keep)) else failed
    except (KeyboardInterrupt, asyncio.CancelledError):
        view.print("Interrupted: everything is stopped.")
    except (NoKafka, KafkaUnreachable, KafkaRefused, ProcessFailed) as why:
        view.print(str(why), "red")
    finally:
        for number, handler in zip(interrupts, before, strict=True):
            signal.signal(number, handler)
    return failed


def options() -> argparse.ArgumentParser:
    usual = Size()
    parser = argparse.ArgumentParser(prog="python -m tests.lab.demo", description="Hydrant on real Kafka, judged")
    parser.add_argument("--locations", type=positive, default=usual.locations)
    parser.add_argument("--leads", type=positive, default=usual.leads, help="of each location")
    parser.add_argument("--syncs", type=int, default=usual.syncs)
    parser.add_argument("--sync-all", type=int, default=usual.sync_all, help="leads of one more location")
    parser.add_argument("--seed", type=int, default=usual.seed)
    parser.add_argument("--keep", action="store_true", help="keep everything running afterwards")
    return parser


def positive(given: str) -> int:
    if (number := int(given)) < 1:
        raise ValueError
    return number


if __name__ == "__main__":
    sys.exit(main())
