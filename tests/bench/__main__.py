"""Run benches one after the other, each on a testbed of its own: `make bench`. Exit 1 when a bar is missed."""

import argparse
import logging
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import orjson
from rich.console import Console

from tests.bench import (
    cost,
    heavy_and_light,
    interactive,
    job_memory,
    latency,
    memory,
    messages,
    neighbours,
    saturation,
    sync_all,
    sync_messages,
)
from tests.bench.figures import Report, show
from tests.bench.testbed import Testbed, running_testbed
from tests.lab.harness.process import ProcessFailed

logging.getLogger("aiokafka").setLevel(logging.ERROR)  # a topic so new has no leader yet

benches: Final[dict[str, tuple[Callable[[Testbed, bool], Report], str]]] = {
    "sync_latency": (latency.sync_latency, "a lone Sync against HighLevel: p50 ≤ 200 ms"),
    "state_latency": (latency.state_latency, "a lone change answered from state: p50 ≤ 50 ms"),
    "nothing_to_do": (cost.nothing_to_do, "changes that need nothing: ≤ 5 CPU s per 100,000"),
    "from_state": (cost.from_state, "changes answered from state: ≤ 9 CPU s per 100,000"),
    "saturation": (saturation.saturation, "unbounded demand: window ≤ 100, no 429, use ≥ 98 %"),
    "probing": (saturation.probing, "many leads a search: ≤ 0.05 calls a lead"),
    "heavy_and_light": (heavy_and_light.heavy_and_light, "7,200 look-ups: ≤ 32 s, and light locations' p50 ≤ 0.8 s"),
    "worker_joins": (heavy_and_light.worker_joins, "a second worker meanwhile: window ≤ 100, none lost, none twice"),
    "worker_killed": (heavy_and_light.worker_killed, "kill -9 and a restart meanwhile: the same"),
    "one_of_two_killed": (heavy_and_light.one_of_two_killed, "kill -9 of one of two workers meanwhile: the same"),
    "beside_the_sick": (neighbours.beside_the_sick, "hanging, failing, throttled neighbours: p99 ≤ 1.5 × that without"),
    "interactive": (interactive.interactive, "Syncs under a backlog: permit p99 ≤ 400 ms, use ≥ 98 %"),
    "memory": (memory.memory, "200,000 leads need ≤ 30 % more memory than 20,000"),
    "sync_all": (sync_all.sync_all, "Sync All of 100,000 leads: ≤ 280 calls, ≤ 90 s"),
    "sync_all_interactive": (sync_all.sync_all_interactive, "a Sync meanwhile: p50 ≤ 0.4 s, p99 ≤ 1 s"),
    "probe_in_a_million": (sync_all.probe_in_a_million, "1,000 leads of 1,000,000 contacts: ≤ 50 calls"),
    "messages": (messages.messages, "Sync All of 10,000 leads with 50,000 SMS: ≤ 185 calls, each message once"),
    "messages_killed": (messages.messages_killed, "kill -9 halfway through the export: the same"),
    "sync_messages": (sync_messages.sync_messages, "a lone Sync with 20 messages: p50 ≤ 300 ms"),
    "job_memory": (job_memory.job_memory, "Sync All of 300,000 leads needs ≤ 25 % more memory than of 10,000"),
}


def options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="Measures what Hydrant promises.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="which ones; none: all")
    parser.add_argument("--list", action="store_true", help="name them, and run none")
    parser.add_argument("--quick", action="store_true", help="shorter runs, of less weight")
    parser.add_argument(
        "--leads",
        type=int,
        metavar="N",
        help="of sync_all, sync_all_interactive, messages, messages_killed, job_memory",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write what was found there, too")
    return parser


def main(given: Sequence[str] | None = None) -> int:
    parser = options()
    arguments = parser.parse_args(given)
    console, aside = Console(), Console(stderr=True)
    if unknown := [name for name in arguments.names if name not in benches]:
        parser.error(f"no such bench: {', '.join(unknown)}; there are {', '.join(benches)}")
    if arguments.list:
        for name, (_, promise) in benches.items():
            console.print(f"{name:20} {promise}")
        return 0
    reports, failed = [], False
    for name in arguments.names or benches:
        bench, _ = benches[name]
        aside.print(f"{name}…", style="dim")
        try:
            with running_testbed(lambda line: aside.print(line, style="dim"), arguments.leads) as testbed:
                report = bench(testbed, arguments.quick)
        except ProcessFailed as why:
            failed = True
            aside.print(f"{name}: {why}", style="bold red")
            continue
        if arguments.quick:
            report.conditions.append("a quick run")
        reports.append(report)
        show(console, report)
        if arguments.json:
            arguments.json.write_bytes(
                orjson.dumps([one.as_json() for one in reports], option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
            )
    return int(failed or any(report.missed for report in reports))


if __name__ == "__main__":
    sys.exit(main())
