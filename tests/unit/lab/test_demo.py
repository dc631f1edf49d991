"""Test the demo's workload, what it waits for, and that its verdict can fail, without a broker."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import orjson
import pytest

from processor.events.cloudevents import Record
from processor.topics import home
from tests.lab.demo import verdict
from tests.lab.demo.progress import Progress, awaited
from tests.lab.demo.summary import call_price, figures, job_outcomes, kinds
from tests.lab.demo.verdict import Flaw, Verdict
from tests.lab.demo.view import View, progress_lines
from tests.lab.harness.calls import Arrival, summarize_calls
from tests.lab.harness.rows import history_of, message_row, out_of, world_rows
from tests.lab.workload.large import Size, changing, in_the_job, large, synced
from tests.lab.workload.workload import Workload

small = Size(locations=4, leads=60, syncs=20, sync_all=200)


@pytest.fixture(scope="module")
def workload() -> Workload:
    return large(small)


def test_a_workload_has_the_size_and_all_kinds(workload: Workload) -> None:
    in_job = [lead for lead in workload.leads if lead.truth.job]
    others = [lead for lead in workload.leads if not lead.truth.job]

    assert (240, 200) == (len(others), len(in_job))
    assert {*changing, *synced} == {lead.kind for lead in others}
    assert {*in_the_job} == {lead.kind for lead in in_job}
    assert 20 == sum(bool(lead.truth.requests) for lead in others)
    assert {"location-05"} == {lead.location for lead in in_job} == {job.location for job in workload.jobs}
    assert len({lead.id for lead in workload.leads}) == len(workload.leads)


def test_a_seed_is_one_workload(workload: Workload) -> None:
    other = Size(locations=4, leads=60, syncs=20, sync_all=200, seed=1)

    assert workload.publications == large(small).publications
    assert workload.messages == large(small).messages
    assert workload.publications != large(other).publications


def test_each_record_goes_to_its_home_unless_it_is_misrouted(workload: Workload) -> None:
    at_home = [out_of(workload, one).partition == home(one.key, workload.partitions) for one in workload.publications]

    assert [not one.misrouted for one in workload.publications] == at_home
    assert at_home.count(False) > 0


def test_highlevel_starts_without_contacts_that_are_gone_or_come_later(workload: Workload) -> None:
    there = {row["contact"]["id"] for row in world_rows(workload) if "contact" in row}
    missing = [contact for contact in workload.contacts.values() if contact.id not in there]

    assert missing
    assert all(contact.gone or contact.since for contact in missing)


def test_messages_are_sms_and_have_their_text(workload: Workload) -> None:
    rows = [message_row(message) for message in workload.messages]

    assert all("SMS" in row["messageType"] for row in rows)
    assert [message.text for message in workload.messages] == [row["body"] for row in rows]


def result(lead: Any, outcome: str | None = None) -> Mapping[str, Any]:
    ids = {"location_id": lead.location, "lead_id": lead.id, "revision": lead.truth.revision}
    return {**ids, "outcome": outcome or next(one for one in lead.truth.last if one)}


def record(topic: str, kind: str, data: Mapping[str, Any]) -> Record:
    return Record(topic, 0, 0, 0, b"", orjson.dumps({"type": kind, "time": "2026-01-01", "data": data}), ())


def everything(workload: Workload) -> Iterator[Record]:
    """Yield an output record for each thing that the demo waits for."""
    for lead in workload.leads:
        if None not in lead.truth.last:
            yield record("lead.updates", "lead.synced", result(lead))
        for request in lead.truth.requests:
            yield record("sync.progress", "sync.answered", {"request_id": request})
    for job in workload.jobs:
        yield record("sync.progress", "sync.completed", {"request_id": job.request, "leads_total": 200})
    for one in workload.publications:
        if one.dead_letter:
            yield record("dead.letters", "", {})


def test_the_demo_waits_for_each_of_these_records(workload: Workload) -> None:
    """Without any one of them something is left; with all of them nothing is."""
    records = list(everything(workload))
    complete, incomplete = Progress(workload, 0), Progress(workload, 0)
    for one in records:
        complete.add(one, 1)
    for one in records[1:]:
        incomplete.add(one, 1)

    assert (0, 1) == (complete.left, incomplete.left)
    assert len(records) == Progress(workload, 0).left


def test_a_wrong_outcome_or_an_older_revision_is_waited_on(workload: Workload) -> None:
    lead = next(lead for lead in workload.leads if lead.kind == "lacks_contact")
    progress = Progress(workload, 0)
    progress.add(record("lead.updates", "lead.synced", result(lead, "not_found")), 1)
    progress.add(record("lead.updates", "lead.synced", {**result(lead), "revision": 0}), 1)

    assert ("lead", lead.id) in progress.awaited
    assert progress.awaited == awaited(workload)


def test_a_location_with_work_is_waited_for(workload: Workload) -> None:
    progress = Progress(workload, 0)
    status = {"location_id": "location-01", "queued": {"change": 1}, "state": "ok"}
    progress.add(record("location.status", "location.status", status), 1)
    assert {"location-01"} == progress.busy
    progress.add(record("location.status", "location.status", {**status, "queued": {}}), 1)
    assert set() == progress.busy


def test_syncs_that_met_a_dead_worker_are_timed_apart(workload: Workload) -> None:
    """One was answered before the kill, one waited across it."""
    progress = Progress(workload, 0)
    first, second = sorted(progress._timed)[:2]
    progress.synced_at, progress.answered_at = {first: 1.0, second: 9.0}, {first: 1.25, second: 21.0}
    progress.killed_at, progress.replaced_at = 10.0, 20.0

    assert [250.0] == progress.latencies_ms(disturbed=False)
    assert [12_000.0] == progress.latencies_ms(disturbed=True)


@pytest.fixture
def nothing_published(workload: Workload) -> Verdict:
    history = history_of(workload, [], {}, began_ms=0)
    calls = summarize_calls({"location-05": [Arrival(0, "search", 200)]})
    return Verdict(list(verdict.flaws_of(history)), [], history, calls, calls, 60)


def test_a_run_without_outputs_is_judged_as_lost(workload: Workload, nothing_published: Verdict) -> None:
    """Each lead that must have a result is among the lost."""
    due = {lead.id for lead in workload.leads if None not in lead.truth.last}

    assert not nothing_published.passed
    assert due <= nothing_published.faulty
    assert nothing_published.count("lost") > len(due)


def test_a_result_published_twice_is_judged_as_repeated(workload: Workload) -> None:
    lead = next(lead for lead in workload.leads if lead.kind == "lacks_contact")
    fields = {"sequence": 1, "changes": {}, "contact_id": None, "replaces": None, "causes": [], "calls": {}}
    more = {"messages": "not_asked", "messages_imported": 0, "reason": None}
    twice = [record("lead.updates", "lead.synced", {**result(lead), **fields, **more})] * 2
    history = history_of(workload, twice, {}, began_ms=0)

    assert Flaw("repeated", f"once: result ('{lead.location}', '{lead.id}', 1) was published 2 times") in list(
        verdict.flaws_of(history)
    )


def test_the_view_shows_the_run_and_its_verdict(
    workload: Workload, nothing_published: Verdict, capsys: pytest.CaptureFixture[str]
) -> None:
    """A run without outputs shows its flaws, and names no lead as right that has one."""
    progress = Progress(workload, 0, phase="publishing")
    View().show_verdict(progress, nothing_published)
    shown = capsys.readouterr().out

    assert "Not all is right." in shown
    assert f"Flaws: {len(nothing_published.flaws):,}, the first 12:" in shown
    assert "one search for each that needs one would have been" in call_price(progress, nothing_published)
    assert "publishing" in next(progress_lines(progress))
    assert Counter(lead.kind for lead in workload.leads if lead.truth.job)["waits"] > 0
    tables = kinds(workload, nothing_published, in_job=True), job_outcomes(progress, nothing_published)
    assert [len(in_the_job), 1] == [table.row_count for table in tables]
    assert 10 == figures(progress, nothing_published).row_count
