"""Messages, simulated: each message comes once to each lead of its contact, whichever workers die meanwhile.

`python -m tests.simulation --world jobs_with_messages --seed N` plays a seed again.
"""

from dataclasses import replace

import pytest

from tests.lab.checkers.job_history import job_histories
from tests.lab.faults import HighLevelFaults, Refusal
from tests.lab.workload.message import Message
from tests.lab.workload.message_workload import changing_while_read, read_by_contact, read_by_location, synced_twice
from tests.lab.workload.times import iso, start_ms
from tests.simulation.faults.kills import Kill, StateLeft, states_left
from tests.simulation.runs.kill_points import MakeWorkload, kill_points, kills_at_each_point
from tests.simulation.runs.message_worlds import expired_cursors, jobs_with_messages, paged_world
from tests.simulation.runs.play import play
from tests.simulation.runs.run import Run
from tests.simulation.runs.shortest import assert_no_flaws
from tests.simulation.world.conversations import Conversations, cursor_lives_ms

makers = [synced_twice, read_by_location, read_by_contact]
asked = {"locationId": "location-1", "channel": "SMS", "limit": "2", "sortBy": "createdAt", "sortOrder": "asc"}


def outlived(make: MakeWorkload, kill: Kill) -> Run:
    run = play(make(0), [kill], paged_world)

    assert_no_flaws(run)
    return run


# the world itself


def export(here: Conversations, now: int, **more: str) -> tuple[int, list[str], str]:
    """Status, ids and cursor of a page."""
    status, body = here.export("location-1", asked | more, now)
    shown = body.get("messages", [])
    assert isinstance(shown, list)
    return status, [one["id"] for one in shown], str(body.get("nextCursor"))


def conversations() -> Conversations:
    rows = [("m-3", "contact-1", 2), ("m-2", "contact-2", 1), ("m-1", "contact-1", 1), ("m-4", "contact-1", 3)]
    messages = [Message(name, "location-1", contact, start_ms + ms) for name, contact, ms in rows]
    return Conversations([*messages, Message("late", "location-1", "contact-1", start_ms + 2, appears=500)])


def test_pages_go_by_time_and_id_and_a_cursor_lives_two_minutes_from_its_last_use() -> None:
    here = conversations()
    first = export(here, start_ms + 10)
    later = start_ms + 10 + cursor_lives_ms
    pages = [
        export(here, now, cursor=first[2]) for now in (later, later + cursor_lives_ms, later + 3 * cursor_lives_ms)
    ]

    assert first[:2] == (200, ["m-1", "m-2"])
    assert [page[:2] for page in pages] == [(200, ["late", "m-3"]), (200, ["late", "m-3"]), (400, [])]


def test_an_export_of_one_contact_from_some_moment_on_shows_messages_that_have_appeared() -> None:
    here, since = conversations(), iso(start_ms + 2)

    assert export(here, start_ms + 10, contactId="contact-1", startDate=since)[1] == ["m-3", "m-4"]
    assert export(here, start_ms + 500, contactId="contact-1", startDate=since)[1] == ["late", "m-3"]
    assert here.export("location-1", asked, start_ms + 10)[1]["total"] == 4
    assert export(here, start_ms, channel="Email")[0] == 422


# undisturbed


@pytest.mark.parametrize("make", [*makers, changing_while_read])
def test_undisturbed_every_message_comes(make: MakeWorkload) -> None:
    for seed in range(5):
        assert_no_flaws(play(make(seed), world=paged_world))


def test_a_job_reads_the_location_where_that_is_cheaper_and_else_each_contact() -> None:
    """Both ways take several pages."""
    wide, narrow = play(read_by_location(0), world=paged_world), play(read_by_contact(0), world=paged_world)
    read = [[sent.contact for sent in run.server.sent if sent.kind == "messages"] for run in (wide, narrow)]

    assert {*read[0]} == {None}
    assert len(read[0]) > 2
    assert read[1].count(None) == 1
    assert len(read[1]) > 2


def test_a_completed_job_reports_how_many_messages_it_published() -> None:
    run = play(read_by_location(0), world=paged_world)
    (job,) = job_histories(run.history)

    assert job.end is not None
    assert job.end.data["messages_imported"] == sum(len(mine) for mine in run.history.messages_by_lead.values()) > 10


# killed at every await in turn


@pytest.mark.slow
@pytest.mark.parametrize("make", makers)
@pytest.mark.parametrize("state", states_left)
def test_killed_at_many_an_await_no_message_is_lost_or_repeated(make: MakeWorkload, state: StateLeft) -> None:
    for kill in list(kills_at_each_point(0, state, make, paged_world))[7 * states_left.index(state) :: 25]:
        outlived(make, kill)


@pytest.mark.slow
@pytest.mark.parametrize("make", makers)
@pytest.mark.parametrize("state", states_left)
def test_killed_at_every_await_no_message_is_lost_or_repeated(make: MakeWorkload, state: StateLeft) -> None:
    for kill in kills_at_each_point(0, state, make, paged_world):
        outlived(make, kill)


@pytest.mark.slow
@pytest.mark.parametrize("how", ["stalls", "drains"])
@pytest.mark.parametrize("make", makers)
def test_an_export_is_handed_over_by_a_worker_that_leaves_or_finds_out_too_late(make: MakeWorkload, how: str) -> None:
    for step, point in kill_points(0, make, paged_world)[::40]:
        if how == "drains" or point.commits:
            outlived(make, Kill(step, state="lost", pause_ms=1, how=how))  # type: ignore[arg-type]  # one of three


# cursors that expire, and any trouble


@pytest.mark.parametrize("seed", range(1, 20, 2))
def test_an_export_begun_anew_with_an_expired_cursor_repeats_and_loses_nothing(seed: int) -> None:
    assert_no_flaws(expired_cursors(seed))


@pytest.mark.slow
def test_cursors_do_expire_in_these_worlds() -> None:
    """Cursors of exports of a contact and of a location expire."""
    expired = [run for seed in range(10) if (run := expired_cursors(seed)).server.conversations.expired]

    assert {bool(run.workload.jobs) for run in expired} == {True, False}


@pytest.mark.parametrize("at", [1_600, 1_700])
def test_an_export_that_breaks_off_is_not_reported_as_whole(at: int) -> None:
    """The token's scope is gone while a location's second page is asked for: some leads had a few of theirs."""
    workload = read_by_location(0)
    refused = Refusal(workload.leads[0].location, at, "scope", renewed=400_000)
    run = play(workload, world=replace(paged_world, highlevel_faults=HighLevelFaults(refusals=(refused,))))
    states = {event.data["messages"] for event in run.events("lead.updates")}

    assert_no_flaws(run)
    assert "failed" in states


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(12))
def test_each_message_comes_once_under_any_faults(seed: int) -> None:
    assert_no_flaws(jobs_with_messages(seed))
