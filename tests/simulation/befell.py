"""What went wrong in a run, by kind: as it came about, not as it was drawn."""

from collections import Counter
from typing import Final

from .play import Run

told: Final = {  # what a trace says of it
    "dies": "death",
    "stalls": "partition lost unawares",
    "drains": "leave",
    "freezes": "freeze",
    "is cut off": "cut from Kafka",
    "the broker goes": "broker outage",
    "has a batch refused": "batch refused",
    "never hears whether its transaction was committed": "commit of unknown outcome",
}


def faults(run: Run) -> Counter[str]:
    found = Counter[str](run.server.faults)
    for _, _, what, _ in run.trace.said:
        if what in told:
            found[told[what]] += 1
        elif what.startswith("has its wall clock stepped"):
            found["clock step"] += 1
    found["transaction timed out"] += len(run.kafka.timed_out)
    found["leave"] += sum(fate.what == "leaves" for fate in run.fates)
    found["fenced"] += sum(event.name == "fenced" for worker in run.workers for _, event in worker.events)
    found["call not sent in time"] += sum(one.outcome == "Unsent" for one in run.server.sent)
    found["cursor expired"] += run.server.conversations.expired
    for worker in run.workers:
        found.update(f"{disk.found} state file" for disk in worker.disks.values() if disk.found != "kept")
    for index in run.offsets.values():
        one = run.scenario.publications[index]
        found["delivered late"] += bool(one.late_ms)
        found["delivered twice"] += one.repeats
        found["malformed"] += one.buried is not None
        found["stray"] += one.strays
    found["job cancelled"] += sum(len(order.cancels) for order in run.scenario.orders)
    return +found
