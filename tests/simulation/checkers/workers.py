"""Check the workers themselves, by what they noted: no crash, no idle turns, no fence war, and bounded memory."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from typing import Final

from processor.telemetry.catalogue import PartitionBroken, TurnCommitted
from tests.simulation.runs.run import Run

idle_turns_at_most: Final = 30  # in a second
documents_at_most: Final = 2_000  # DESIGN §1: 400 leads touched in a turn, each with its request, location and budget
records_at_most: Final = 2_000
rows_at_most: Final = 2_500


def healthy(run: Run) -> Iterator[str]:
    """No worker ended by itself, got stuck, hid an exception or had a turn fail; each left within its time."""
    yield from run.crashed
    faults = run.world.kafka_faults
    allowed = {"broken"} if faults.unknown_outcome or faults.refused or run.faults else set()
    for worker in run.workers:
        for at, event in worker.events:
            if event.name in {"turn_failed", "broken", "alert"} - allowed:
                yield f"{worker.name} at {at}: {event.name} {asdict(event)}"


def awake_for_a_reason(run: Run) -> Iterator[str]:
    """No worker makes turn after turn without any input or effect."""
    for worker in run.workers:
        idle = Counter(
            (event.partition, at // 1_000)
            for at, event in worker.events
            if isinstance(event, TurnCommitted) and not (event.inputs or event.records or event.rows or event.calls)
        )
        if idle and (most := max(idle.values())) > idle_turns_at_most:
            yield f"{worker.name}: {most} turns in a second for nothing"


def no_fence_war(run: Run) -> Iterator[str]:
    """A partition's producer is initialised a few times per change of owner, fault or broken commit, not again and again."""
    if run.group is None:
        return
    given = Counter(moved.partition for moved in run.group.moved)
    failed = Counter(
        event.partition for worker in run.workers for _, event in worker.events if isinstance(event, PartitionBroken)
    )
    faults = sum(fault.what != "starts" for fault in run.faults) + len(run.kafka.timed_out)
    for partition, count in Counter(one.partition for one in run.kafka.initialised).items():
        # Once per new owner and per break; and a zombie that opens the partition makes its owner do so again.
        if count > (allowed := given[partition] + 2 * failed[partition] + faults):
            yield f"partition {partition} was initialised {count} times, not {allowed} at most"


def held_in_bounds(run: Run) -> Iterator[str]:
    """A turn holds and writes a bounded amount, however large the log and the state are."""
    limits = {"documents": documents_at_most, "records": records_at_most, "rows": rows_at_most}
    for worker in run.workers:
        for what, most in limits.items():
            if worker.peaks[what] > most:
                yield f"{worker.name} held {worker.peaks[what]} {what} in a turn"
