"""A turn of a shard: hear → settle → spend → report. Read first; each step is a file.

`turn(now, inputs) → effects` does no I/O but in the shard's own SQLite, reads no clock and awaits nothing. The caller
commits the effects to the log, then the state, and only then lets the calls leave: a call's slot is journalled before
anyone can send it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from processor.highlevel.requests import Call
from processor.highlevel.responses import Response
from processor.shard.backfill import advance as advance_backfills
from processor.shard.hear import Input, hear
from processor.shard.job import Backfill, Job
from processor.shard.lead import Lead
from processor.shard.location import Location
from processor.shard.plan import spend
from processor.shard.progress import tell
from processor.shard.report import report
from processor.shard.request import Request
from processor.shard.settle import settle
from processor.shard.setup import Setup
from processor.shard.state import Out, Row, State
from processor.shard.sync_all import advance as advance_jobs
from processor.shard.tables import Projection, nothing
from processor.telemetry.catalogue import TelemetryEvent

__all__ = ["Effects", "Out", "Shard"]


@dataclass(frozen=True, slots=True)
class Effects:
    """What a turn wants done. Records, rows and positions are one transaction of the log."""

    records: Sequence[Out]
    rows: Sequence[Row]
    calls: Sequence[Call]
    watched: Sequence[
        tuple[str, str | None]
    ]  # locations whose token was refused, and its fingerprint: is it another now?
    again: Sequence[Response]  # what is left of a page, to be heard in the next turn
    notes: Sequence[TelemetryEvent]
    wake_at: int | None  # ms, when to turn again though nothing came in


class Shard:
    """All that a partition owns. One turn at a time: none before the last one was committed or rolled back."""

    def __init__(self, state: State, setup: Setup) -> None:
        self.state = state
        self.setup = setup

    def turn(self, now: int, inputs: Sequence[Input], granting: bool = True) -> Effects:
        """Left open: commit the state after the log, or roll back. Raises what an input made go wrong, rolled back."""
        changes = self.state.begin()
        try:
            for lead in hear(changes, self.setup, inputs, now):  # facts go into documents
                settle(changes, self.setup, lead, now)  # publish, ask or wait
            advance_jobs(changes, self.setup, now)  # what that means for jobs
            advance_backfills(changes, self.setup, now)
            changes.flush("lead", "request", "position")
            calls = spend(changes, self.setup, now, granting)  # a free slot first, then its best use
            report(changes, self.setup, now)
            tell(changes, self.setup, now)
            changes.flush()
            watched, again, notes = changes.watched, changes.again, changes.notes
            return Effects(changes.records, changes.rows, calls, watched, again, notes, changes.wake_at())
        except BaseException:
            self.state.rollback()
            raise


def project(key: str, value: bytes) -> Projection:
    """The projection of a restored document."""
    match key.split(" "):
        case ["lead", location, lead]:
            return Lead.decode(location, lead, value).projection()
        case ["job", location, request]:
            return Job.decode(location, request, value).projection()
        case ["backfill", request]:
            return Backfill.decode(request, value).projection()
        case ["request", location, lead, request]:
            return Request.decode(location, lead, request, value).projection()
        case ["location", location]:
            return Location.decode(location, value).projection()
    return nothing
