"""Fire the timers that are due: deadlines, leads that upstream never published, steps of jobs, memories that end."""

from collections.abc import Iterator, Sequence
from typing import Final

from processor.shard.documents.job import Backfill, Job
from processor.shard.documents.lead import Lead
from processor.shard.documents.sync_request import SyncRequest
from processor.shard.inputs import OverdueSync, Touched
from processor.shard.jobs.backfill import step_backfill
from processor.shard.jobs.location import step_job
from processor.shard.store import UnitOfWork

timers_at_once: Final = 400  # in a turn: a turn is short
walk_touches_at_once: Final = 200  # documents in a turn that jobs walk in: an interactive lead waits for it
walked_at_least: Final = 50  # leads, whatever else goes on


def fire_timers(turn: UnitOfWork) -> Iterator[Touched]:
    jobs: list[Job] = []
    for key in turn.due_timers(turn.now, timers_at_once):
        kind, *ids = key.split(" ")
        if kind in ("location", "schedule"):
            turn.locations_to_schedule[ids[0]] = None
        elif kind == "request":
            yield from request_due(turn, ids)
        elif kind == "job" and (job := Job.find(turn, *ids)):
            jobs.append(job)
        elif kind == "backfill" and (whole := Backfill.find(turn, *ids)):
            step_backfill(turn, whole)
        elif kind == "lead":
            yield lead_due(turn, ids)
    room = max(walk_touches_at_once - turn.size, walked_at_least)
    for job in jobs:
        if room > 0:  # the others are due in the next turn
            yield from step_job(turn, job, room)
        room = walk_touches_at_once - turn.size


def lead_due(turn: UnitOfWork, ids: Sequence[str]) -> Lead:
    """The lead was waited for long enough; or its document only remembered, and is forgotten now."""
    lead = Lead.of(turn, *ids)
    if lead.work is None:
        lead.revision = lead.expires = None
    return lead


def request_due(turn: UnitOfWork, ids: Sequence[str]) -> Iterator[OverdueSync]:
    """The request's deadline has passed; or it was answered a day ago, and is forgotten now."""
    request = SyncRequest.find(turn, *ids)
    if request is None:
        return
    if request.answered is not None:
        request.expired = True
        return
    yield OverdueSync(Lead.of(turn, request.location, request.lead), request, on_arrival=False)
