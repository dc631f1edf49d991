"""A turn of a shard: ingest → decide → schedule → report. Read first; each step is a file.

`turn(now, inputs) → effects` does no I/O but in the shard's own SQLite, reads no clock and awaits nothing. The caller
commits the effects to the log, then the store, and only then lets the calls leave: a call's slot is journalled before
it can be sent.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from processor.highlevel.requests import Call
from processor.highlevel.responses import Response
from processor.shard.apply import apply_decision, apply_overdue, apply_unserved
from processor.shard.documents import Lead
from processor.shard.ingest import ingest
from processor.shard.inputs import Input, OverdueSync
from processor.shard.jobs.backfill import advance_backfills
from processor.shard.jobs.location import advance_jobs, begin_messages, start_returning
from processor.shard.jobs.progress import report_progress
from processor.shard.report import report_locations
from processor.shard.schedule import schedule
from processor.shard.setup import Setup
from processor.shard.store import OutRecord, Row, Store, UnitOfWork
from processor.telemetry.catalogue import TelemetryEvent


@dataclass(frozen=True, slots=True)
class Effects:
    """The work that a turn leaves to its caller. Records, rows and positions are one transaction of the log."""

    records: Sequence[OutRecord]
    rows: Sequence[Row]
    calls: Sequence[Call]
    refused_tokens: Sequence[
        tuple[str, str | None]
    ]  # locations and a fingerprint: does another token speak for it now?
    rest_of_pages: Sequence[Response]  # to be ingested in the next turn
    telemetry: Sequence[TelemetryEvent]
    wake_at: int | None  # ms, when to turn again though nothing came in


class Shard:
    """All that a partition owns. One turn at a time: none before the last one was committed or rolled back."""

    def __init__(self, store: Store, setup: Setup) -> None:
        self.store = store
        self.setup = setup

    def turn(self, now: int, inputs: Sequence[Input], granting: bool = True) -> Effects:
        """Return the effects, with the store left open: commit it after the log, or roll it back.

        Raises what an input made go wrong, rolled back.
        """
        turn = self.store.begin(now, self.setup)
        try:
            ingest_and_decide(turn, inputs)
            calls = schedule_all(turn, granting)
            report_all(turn)
            return Effects(
                turn.records,
                turn.rows,
                calls,
                turn.refused_tokens,
                turn.rest_of_pages,
                turn.telemetry,
                turn.wake_at(),
            )
        except BaseException:
            self.store.rollback()
            raise


def ingest_and_decide(turn: UnitOfWork, inputs: Sequence[Input]) -> None:
    """Ingest the inputs, decide about what they touch and act on it, then advance jobs."""
    for touched in ingest(turn, inputs):
        match touched:
            case Lead():
                apply_decision(turn, touched)
            case OverdueSync():
                apply_overdue(turn, touched)
            case _:
                apply_unserved(turn, touched)
    advance_jobs(turn)
    advance_backfills(turn)
    turn.flush("lead", "request", "position")


def schedule_all(turn: UnitOfWork, granting: bool) -> Sequence[Call]:
    """Return the calls: a free slot first, then its best use."""
    begin_messages(turn)
    return schedule(turn, granting)


def report_all(turn: UnitOfWork) -> None:
    """Report how locations and jobs stand, and write what is left to write.

    Jobs that were just reported as paused start to return what they borrowed.
    """
    for location, due in report_locations(turn).items():
        turn.set_timer(f"location {location}", due)
    report_progress(turn)
    start_returning(turn)
    turn.flush()
