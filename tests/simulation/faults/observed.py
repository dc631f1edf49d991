"""Count the faults that came about in a run, by kind."""

from collections import Counter
from typing import Final

from tests.simulation.runs.run import Run

trace_entries: Final = {
    "dies": "death",
    "stalls": "partition lost unawares",
    "drains": "leave",
    "freezes": "freeze",
    "is cut off": "cut from Kafka",
    "the broker goes": "broker outage",
    "has a batch refused": "batch refused",
    "never hears whether its transaction was committed": "commit of unknown outcome",
}


def count_faults(run: Run) -> Counter[str]:
    found = Counter[str](run.server.faults)
    for _, _, what, _ in run.trace.entries:
        if what in trace_entries:
            found[trace_entries[what]] += 1
        elif what.startswith("has its wall clock stepped"):
            found["clock step"] += 1
    found["transaction timed out"] += len(run.kafka.timed_out)
    found["leave"] += sum(fault.what == "leaves" for fault in run.faults)
    found["fenced"] += sum(note.name == "fenced" for worker in run.workers for _, note in worker.notes)
    found["call not sent in time"] += sum(one.outcome == "Unsent" for one in run.server.sent)
    found["cursor expired"] += run.server.conversations.expired
    for worker in run.workers:
        found.update(f"{disk.found} state file" for disk in worker.disks.values() if disk.found != "kept")
    for index in run.offsets.values():
        one = run.workload.publications[index]
        found["delivered late"] += bool(one.late_ms)
        found["delivered twice"] += one.redelivery
        found["malformed"] += one.dead_letter is not None
        found["misrouted"] += one.misrouted
    found["job cancelled"] += sum(len(job.cancels) for job in run.workload.jobs)
    return +found
