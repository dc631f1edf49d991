"""Check the permits and pauses of calls by the true time, independent of the workers' clocks."""

from collections import Counter
from collections.abc import Iterator
from typing import Final

from processor.engine.clock import unsettled_ms
from processor.ratelimit.budget import send_within_ms
from processor.telemetry.catalogue import TelemetryEvent, TurnCommitted
from tests.lab.checkers.calls import committed_within_ms
from tests.simulation.runs.run import Run

never_handed_over: Final = 10**15  # ms since 1970


def permits(run: Run) -> Iterator[str]:
    """A slot pays for one request, which leaves before its send deadline by the server's clock."""
    calls = run.history.calls
    for (location, slot), count in Counter((one.location, one.slot) for one in calls).items():
        if count > 1:
            yield f"{location}: slot {slot} paid for {count} requests"
    for one in calls:
        late = one.at - one.granted - send_within_ms - run.clocks[one.worker].set_back(one.granted, one.at)
        if late > 0:
            yield f"{one.location}: slot {one.slot} was sent {late} ms after its deadline"


def unsettled(run: Run) -> Iterator[str]:
    """A worker whose clock was set by the stepped wall clock grants nothing for a while."""
    for one in run.history.calls:
        for at, _ in run.clocks[one.worker].set[1:]:
            if at < one.granted < at + unsettled_ms:
                yield f"{one.location}: slot {one.slot} was granted {one.granted - at} ms after its worker's clock was set"


def patient(run: Run) -> Iterator[str]:
    """After a 429 a worker sends the location no call until the wait is over, not even granted ones.

    Its successor keeps to the wait as soon as that is journalled.
    """
    for since, until, location, worker in run.server.pauses:
        handed_over = handed_over_at(run, worker, since)
        for one in run.history.calls_by_location[location]:
            if one.at >= until or one.taken <= since:
                continue
            if one.worker == worker or handed_over < one.granted:
                yield f"{location}: slot {one.slot} was sent {one.at - since} ms after a 429 that asked for {until - since}"


def handed_over_at(run: Run, worker: str, since: int) -> int:
    """Return when a successor must know of the response: the worker has committed a turn after it."""
    if run.faults or run.world.steps or run.world.kafka_faults.unknown_outcome or not run.kills:
        return never_handed_over
    return next(
        (
            at
            for one in run.workers
            if one.name == worker
            for at, event in one.events
            if committed_after(at, event, since)
        ),
        never_handed_over,
    )


def committed_after(at: int, event: TelemetryEvent, since: int) -> bool:
    return at > since + committed_within_ms and isinstance(event, TurnCommitted) and event.rows > 0
