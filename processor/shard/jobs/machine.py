"""The state machine of jobs: all stages and transitions, in one table. Its diagram in `deploy/jobs.md` is made from it.

A Sync All, a location's part of a backfill, and a partition's backfill (whose items are locations) share it.
"""

from collections.abc import Iterator
from enum import StrEnum
from typing import Final


class JobStage(StrEnum):
    QUEUED = "queued"  # another job of the location goes first, or lead.changes isn't read up to the request yet
    FANNING_OUT = "fanning_out"  # of a backfill: its locations get their jobs
    SERVING = "serving"  # of a backfill: its locations' jobs are under way
    OPENING = "opening"  # its leads get open work
    PLANNING = "planning"  # scan or probe?
    SCANNING = "scanning"  # pages of all contacts are matched with its leads
    DECIDING = "deciding"  # what the scan found is as good as a search
    ASKING = "asking"  # probes, and GETs
    EXPORTING = "exporting"  # pages of all messages are matched with its leads
    CLOSING = "closing"  # what the export brought, and that there is no more
    MESSAGING = "messaging"  # exports contact by contact
    LEAVING = "leaving"  # cancelled or failed: its leads are detached
    OVER = "over"  # remembered for a day, so that the same request id is the same job


class Step(StrEnum):
    """Why a job goes on to another stage."""

    STARTED = "started"  # it is its turn, and lead.changes is read up to its request
    OPENED = "opened"  # all its leads, or locations, are
    SCAN = "scan"  # from the first page, perhaps anew
    PROBE = "probe"  # no scan, or the scan can't go on
    SCANNED = "scanned"  # the last page of the catch-up pass was ingested
    DECIDED = "decided"
    EXPORT = "export"  # nothing but messages is missing
    EXPORT_EACH = "export each"  # contact by contact is cheaper
    EXPORTED = "exported"  # the last page was ingested, or no more are to be had
    CLOSED = "closed"
    COMPLETED = "completed"  # all has its outcome; a dry run has its plan
    STOPPED = "stopped"  # cancelled, or failed
    LEFT = "left"  # its leads, or locations, are


J, S = JobStage, Step
under_way: Final = (J.OPENING, J.PLANNING, J.SCANNING, J.DECIDING, J.ASKING, J.EXPORTING, J.CLOSING, J.MESSAGING)
transitions: Final = {
    (J.QUEUED, S.STARTED): J.OPENING,
    (J.OPENING, S.OPENED): J.PLANNING,
    (J.PLANNING, S.SCAN): J.SCANNING,
    (J.PLANNING, S.PROBE): J.ASKING,
    (J.SCANNING, S.PROBE): J.ASKING,
    (J.SCANNING, S.SCANNED): J.DECIDING,
    (J.DECIDING, S.DECIDED): J.ASKING,
    (J.SCANNING, S.SCAN): J.SCANNING,  # another job went first
    (J.DECIDING, S.SCAN): J.SCANNING,  # likewise
    (J.ASKING, S.SCAN): J.SCANNING,  # HighLevel refuses multi-value searches
    (J.ASKING, S.EXPORT): J.EXPORTING,
    (J.ASKING, S.EXPORT_EACH): J.MESSAGING,
    (J.EXPORTING, S.EXPORT_EACH): J.MESSAGING,
    (J.EXPORTING, S.EXPORTED): J.CLOSING,
    (J.CLOSING, S.CLOSED): J.MESSAGING,
    **{(stage, S.COMPLETED): J.OVER for stage in (J.QUEUED, *under_way)},  # a dry run may be cancelled before its turn
    **{(stage, S.STOPPED): J.LEAVING for stage in (J.QUEUED, *under_way)},
    (J.LEAVING, S.LEFT): J.OVER,
}
backfill_transitions: Final = {
    (J.QUEUED, S.STARTED): J.FANNING_OUT,
    (J.FANNING_OUT, S.OPENED): J.SERVING,
    (J.SERVING, S.COMPLETED): J.OVER,
    **{(stage, S.STOPPED): J.LEAVING for stage in (J.QUEUED, J.FANNING_OUT, J.SERVING)},
    (J.LEAVING, S.LEFT): J.OVER,
}

walking: Final = frozenset((J.OPENING, J.DECIDING, J.CLOSING, J.LEAVING))  # stages that go through its leads
paging: Final = frozenset((J.SCANNING, J.EXPORTING))  # stages that ask for pages
calling: Final = frozenset((J.SCANNING, J.DECIDING, J.ASKING, J.EXPORTING, J.CLOSING, J.MESSAGING))  # after planning


def diagram() -> Iterator[str]:
    """Yield the lines of a Mermaid state diagram of the two tables."""
    yield "stateDiagram-v2"
    for title, table in (("a location's job", transitions), ("a partition's backfill", backfill_transitions)):
        name = "location" if table is transitions else "backfill"
        yield f'    state "{title}" as {name} {{'
        yield f"        [*] --> {name}_queued"
        yield from (
            f"        {name}_{stage} --> {name}_{following}: {step}" for (stage, step), following in table.items()
        )
        yield "    }"
