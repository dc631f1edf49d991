"""Messages, simulated: what was said by SMS comes once to each lead whose contact said it, whoever dies meanwhile. What is
promised is in `imported.py`; `python -m tests.simulation --world chatting --seed N` plays one again."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from .conversations import Conversations, Text, cursor_lives_ms
from .deaths import deaths, moments
from .imported import imports
from .loop import start_ms
from .play import Run, play
from .shortest import keeps_every_promise
from .streams import streams
from .tale import iso
from .talking import chatting, interrupted, paged, synced_twice, talkative, talkative_elsewhere, turning
from .weather import Refusal, Weather
from .worker import Found, Kill, founds
from .world import Scenario

told = [synced_twice, talkative, talkative_elsewhere]
asked = {"locationId": "location-1", "channel": "SMS", "limit": "2", "sortBy": "createdAt", "sortOrder": "asc"}


def outlived(tell: Callable[[int], Scenario], kill: Kill) -> Run:
    run = play(tell(0), [kill], paged)

    keeps_every_promise(run)
    return run


# the world itself


def export(here: Conversations, now: int, **more: str) -> tuple[int, list[str], str]:
    """Status, ids and cursor of a page."""
    status, body = here.export("location-1", asked | more, now)
    shown = body.get("messages", [])
    assert isinstance(shown, list)
    return status, [one["id"] for one in shown], str(body.get("nextCursor"))


def conversations() -> Conversations:
    said = [("m-3", "contact-1", 2), ("m-2", "contact-2", 1), ("m-1", "contact-1", 1), ("m-4", "contact-1", 3)]
    texts = [Text(name, "location-1", contact, start_ms + ms) for name, contact, ms in said]
    return Conversations([*texts, Text("late", "location-1", "contact-1", start_ms + 2, appears=500)])


def test_pages_go_by_time_and_id_and_a_cursor_lives_two_minutes_from_its_last_use() -> None:
    here = conversations()
    first = export(here, start_ms + 10)
    later = start_ms + 10 + cursor_lives_ms
    pages = [
        export(here, now, cursor=first[2]) for now in (later, later + cursor_lives_ms, later + 3 * cursor_lives_ms)
    ]

    assert first[:2] == (200, ["m-1", "m-2"])
    assert [page[:2] for page in pages] == [(200, ["late", "m-3"]), (200, ["late", "m-3"]), (400, [])]


def test_an_export_is_of_one_contact_from_some_moment_on_and_shows_what_has_appeared() -> None:
    here, since = conversations(), iso(start_ms + 2)

    assert export(here, start_ms + 10, contactId="contact-1", startDate=since)[1] == ["m-3", "m-4"]
    assert export(here, start_ms + 500, contactId="contact-1", startDate=since)[1] == ["late", "m-3"]
    assert here.export("location-1", asked, start_ms + 10)[1]["total"] == 4
    assert export(here, start_ms, channel="Email")[0] == 422


# undisturbed


@pytest.mark.parametrize("tell", [*told, turning])
def test_undisturbed_every_message_comes(tell: Callable[[int], Scenario]) -> None:
    for seed in range(5):
        keeps_every_promise(play(tell(seed), world=paged))


def test_a_job_reads_the_location_where_that_is_cheaper_and_else_each_contact() -> None:
    """Both, several pages."""
    wide, narrow = play(talkative(0), world=paged), play(talkative_elsewhere(0), world=paged)
    read = [[sent.contact for sent in run.server.sent if sent.kind == "messages"] for run in (wide, narrow)]

    assert {*read[0]} == {None}
    assert len(read[0]) > 2
    assert read[1].count(None) == 1
    assert len(read[1]) > 2


def test_a_completed_job_tells_how_many_messages_it_published() -> None:
    run = play(talkative(0), world=paged)
    (stream,) = streams(run).values()

    assert stream.end is not None
    assert stream.end.data["messages_imported"] == sum(len(mine) for mine in imports(run).values()) > 10


# killed at every await in turn


@pytest.mark.slow
@pytest.mark.parametrize("tell", told)
@pytest.mark.parametrize("state", founds)
def test_killed_at_many_an_await_no_message_is_lost_or_repeated(tell: Callable[[int], Scenario], state: Found) -> None:
    for kill in list(deaths(0, state, tell, paged))[7 * founds.index(state) :: 25]:
        outlived(tell, kill)


@pytest.mark.slow
@pytest.mark.parametrize("tell", told)
@pytest.mark.parametrize("state", founds)
def test_killed_at_every_await_no_message_is_lost_or_repeated(tell: Callable[[int], Scenario], state: Found) -> None:
    for kill in deaths(0, state, tell, paged):
        outlived(tell, kill)


@pytest.mark.slow
@pytest.mark.parametrize("how", ["stalls", "drains"])
@pytest.mark.parametrize("tell", told)
def test_an_export_is_handed_over_by_a_worker_that_leaves_or_finds_out_too_late(
    tell: Callable[[int], Scenario], how: str
) -> None:
    for step, point in moments(0, tell, paged)[::40]:
        if how == "drains" or point.commits:
            outlived(tell, Kill(step, state="lost", pause_ms=1, how=how))  # type: ignore[arg-type]  # one of three


# cursors that expire, and any trouble


@pytest.mark.parametrize("seed", range(1, 20, 2))
def test_an_export_begun_anew_with_an_expired_cursor_repeats_and_loses_nothing(seed: int) -> None:
    keeps_every_promise(interrupted(seed))


@pytest.mark.slow
def test_cursors_do_expire_in_these_worlds() -> None:
    """Those of a contact's export, and of a location's."""
    expired = [run for seed in range(10) if (run := interrupted(seed)).server.conversations.expired]

    assert {bool(run.scenario.orders) for run in expired} == {True, False}


@pytest.mark.parametrize("at", [1_600, 1_700])
def test_an_export_that_breaks_off_is_not_told_as_whole(at: int) -> None:
    """The token's scope is gone while a location's second page is asked for: some leads had a few of theirs."""
    scenario = talkative(0)
    refused = Refusal(scenario.tales[0].location, at, "scope", renewed=400_000)
    run = play(scenario, world=replace(paged, weather=Weather(refusals=(refused,))))
    told_of = {event["data"]["messages"] for event in run.read("lead.updates")}

    keeps_every_promise(run)
    assert "failed" in told_of


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(12))
def test_whatever_goes_wrong_each_message_comes_once(seed: int) -> None:
    keeps_every_promise(chatting(seed))
