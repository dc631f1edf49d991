"""The state machine of jobs: the page shows the table, and the table has no dead end."""

from itertools import chain
from pathlib import Path

import pytest

from processor.shard.documents.job import Job
from processor.shard.jobs.machine import JobStage, Step, backfill_transitions, diagram, transitions

page = Path(__file__).parents[3] / "deploy" / "jobs.md"
tables = pytest.mark.parametrize("table", [transitions, backfill_transitions], ids=["location", "backfill"])
Table = dict[tuple[JobStage, Step], JobStage]


def reached_from(stage: JobStage, table: Table) -> set[JobStage]:
    """Return the stages that a job in this one can come to, itself included."""
    reached, open_ends = {stage}, [stage]
    while open_ends:
        here = open_ends.pop()
        following = {after for (before, _), after in table.items() if before is here} - reached
        reached |= following
        open_ends += following
    return reached


def test_the_page_shows_the_table() -> None:
    assert "```mermaid\n" + "\n".join(diagram()) + "\n```" in page.read_text()


def test_the_page_names_every_stage_and_step() -> None:
    explained = page.read_text().partition("```mermaid")[0]

    assert [] == [name for name in chain(JobStage, Step) if f"`{name}`" not in explained]


@tables
def test_every_stage_is_reachable(table: Table) -> None:
    stages = {stage for stage, _ in table} | set(table.values())

    assert stages == reached_from(JobStage.QUEUED, table)


def test_every_stage_is_in_a_table() -> None:
    assert set(JobStage) == {*transitions.values(), *backfill_transitions.values(), JobStage.QUEUED}


@tables
def test_every_stage_can_end(table: Table) -> None:
    assert [] == [stage for stage, _ in table if JobStage.OVER not in reached_from(stage, table)]


@tables
def test_a_job_that_is_over_stays_so(table: Table) -> None:
    assert {JobStage.OVER} == reached_from(JobStage.OVER, table)


def test_an_unknown_step_is_refused() -> None:
    job = Job("L1", "r1", cause="e1", published_at=0)

    with pytest.raises(KeyError):
        job.advance(Step.EXPORTED, 0)
