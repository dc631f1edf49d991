"""Messages while much goes wrong, on a real Kafka: each SMS of a lead's contact is told once, and contacts don't suffer.

One worker plays all but the kills, each in a location of its own; each test looks at its part.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from uuid import uuid4

import pytest

from processor.events.cloudevents import Record
from tests.bench.leads import contact_id
from tests.integration.canaries import marks, places
from tests.integration.job_stage import calls, named, put, tell_of, until_called, until_told, within_s, wrong_with
from tests.integration.jobs import course, sync_all
from tests.integration.judge import data
from tests.integration.residents import Contact, Resident, Town, strangers_since
from tests.integration.stage import HighLevel, Stage, Worker, stage, until
from tests.integration.talks import Said, chattered, claims, imported, page, say, sms, talk, wrong_messages
from tests.lab.demo.spent import Arrival
from tests.lab.kafka_node import Broker

pytestmark = pytest.mark.integration

partitions: Final = 4
patient_s: Final = 600  # a Sync's deadline
chatter: Final = {"new": 3, "late": 3, "late_by_s": 300, "tied": 1, "status": 1}

one, whole, few, chatty, expiring, lone, closed, refused, unasked, shared = places(10, partitions)
towns: Final = {
    location: Town(location, size, since=1_000 * number)
    for number, (location, size) in enumerate(
        {one: 1, whole: 120, few: 3, chatty: 20, expiring: 120, lone: 1, closed: 20, refused: 20, unasked: 20}.items()
    )
}
sharing: Final = Town(shared, 2, since=15_000)
strangers: Final = [Resident(few, strangers_since + each) for each in range(10)]  # nobody's leads, but they talk


def talks_of(location: str, each: int) -> list[Said]:
    """Of the leads that a contact is found for."""
    found = [lead for lead in towns[location].leads if lead.outcome in ("updated", "unchanged")]
    return [message for lead in found for message in talk(lead, each)]


@dataclass(frozen=True)
class Played:
    told: Sequence[Record]
    flaws: Sequence[str]
    arrivals: Mapping[str, Sequence[Arrival]]  # by location
    talks: Sequence[Said]

    def statuses(self, location: str) -> list[int]:
        """Of the exports there."""
        return [call.status for call in self.arrivals.get(location, ()) if call.kind == "messages"]

    def wrong_with(self, location: str, *but: str) -> list[str]:
        here = [record for record in self.told if (record.key or b"").decode() == location]
        return wrong_messages(here, [said for said in self.talks if said[0].location == location], but)

    def summary(self, request: str) -> tuple[str, int]:
        kind, last = course(self.told, request)[-1]
        return kind, last["messages_imported"]


def play(broker: Broker, folder: Path, kind: str) -> Played:
    async def play() -> Played:
        async with stage(broker.bootstrap, f"test-{uuid4().hex[:12]}.", folder / kind, partitions) as here:
            return await (die(here) if kind == "killed" else talk_on(here))

    (folder / kind).mkdir()
    return asyncio.run(play())


@pytest.fixture(scope="module")
def killed(broker: Broker, tmp_path_factory: pytest.TempPathFactory) -> Played:
    return play(broker, tmp_path_factory.mktemp("messages"), "killed")


@pytest.fixture(scope="module")
def played(broker: Broker, tmp_path_factory: pytest.TempPathFactory) -> Played:
    return play(broker, tmp_path_factory.mktemp("messages"), "played")


async def die(here: Stage) -> Played:
    """Once in each export a page is on its way; in the longest one once more while a page is heard."""
    there = [towns[location] for location in (one, whole, few)]
    nobodys = [Contact(few, stranger.number) for stranger in strangers]
    highlevel = here.highlevel([*(contact for town in there for contact in town.contacts), *nobodys])
    talks = [*talks_of(one, 2 * page + 100), *talks_of(whole, 23), *talks_of(few, page + 200)]
    say(highlevel, [*talks, *(said for stranger in strangers for said in talk(stranger, 200))])
    highlevel.fault(kind="slow", delay_ms=300, call="messages")
    worker = named(here, highlevel)
    await tell_of(here, *there)

    await here.publish([towns[one].leads[0].sync("one", include_messages=True, deadline_s=patient_s)])
    worker = await killed_at(here, highlevel, worker, one, 2)
    await here.answered((), ["one"])

    await here.publish([sync_all(whole, "whole", messages=True)])
    worker = await killed_at(here, highlevel, worker, whole, 2)
    await until(lambda: imported(here.heard, whole) > page, within_s, lambda: f"{here.last_words}")
    worker = restarted(here, highlevel, worker)
    await until_told(here, "whole", "completed")

    await here.publish([sync_all(few, "few", messages=True)])
    worker = await killed_at(here, highlevel, worker, few, 3)
    await until_told(here, "few", "completed")

    told = await here.told()
    return Played(told, here.judged(told, requests=["one"]), highlevel.log(), talks)


async def killed_at(here: Stage, highlevel: HighLevel, worker: Worker, location: str, export: int) -> Worker:
    """While this one is on its way. Returns the successor."""
    await until_called(highlevel, location, export, "messages")
    return restarted(here, highlevel, worker)


def restarted(here: Stage, highlevel: HighLevel, worker: Worker) -> Worker:
    worker.kill()
    return named(here, highlevel)


async def talk_on(here: Stage) -> Played:
    there = [towns[name] for name in (chatty, expiring, lone, closed, refused, unasked)]
    highlevel = here.highlevel(contact for town in [*there, sharing] for contact in town.contacts)
    talks = [*talks_of(chatty, 60), *talks_of(expiring, 20), *talks_of(lone, 2 * page + 100)]
    silent = [*talks_of(closed, 5), *talks_of(refused, 5), *talks_of(unasked, 5)]
    first, second = sharing.leads
    both = talk(first, 30)
    say(highlevel, [*talks, *silent, *both])
    talks += [*both, *((second, message) for _, message in both)]
    for location in (expiring, lone):
        highlevel.fault(kind="slow", delay_ms=300, call="messages", location=location)
        put(highlevel, location=location, cursor_life_s=0.05)
    for location in (closed, refused):
        put(highlevel, location=location, message_scope=False)
    put(highlevel, location=chatty, chatter=chatter)
    named(here, highlevel)
    await tell_of(here, *there)
    await here.publish([lead.change(loading=True, contact_id=contact_id(first.number)) for lead in sharing.leads])

    asked = [sync_all(location, location, messages=True) for location in (chatty, expiring, refused, shared)]
    alone = [towns[name].leads[0].sync(name, include_messages=True, deadline_s=patient_s) for name in (lone, closed)]
    others = [sync_all(unasked, unasked), towns[unasked].leads[1].sync("unasked")]
    await here.publish([*asked, *alone, *others])
    for location in (expiring, lone):
        await until_expired(highlevel, location)
        put(highlevel, location=location, cursor_life_s=None)
    await here.answered((), [lone, closed, "unasked"])
    more = talk(towns[lone].leads[0], page + 100, since=2 * page + 100)
    say(highlevel, more)
    talks += more
    await here.publish([towns[lone].leads[0].sync("more", include_messages=True, deadline_s=patient_s)])
    await here.publish([towns[closed].leads[1].change(2), towns[unasked].leads[2].change(2)])
    await asyncio.gather(
        *(until_told(here, name, "completed") for name in (chatty, expiring, refused, unasked, shared))
    )
    await here.answered([towns[closed].leads[1]])

    talkative = towns[chatty].leads[0]
    await here.publish([talkative.sync("talkative", include_messages=True)])
    await here.answered((), ["talkative", "more"])
    put(highlevel, location=chatty, chatter=None)
    await here.publish([sync_all(chatty, "again", messages=True)])
    await until_told(here, "again", "completed")
    talks += chattered(highlevel, towns[chatty].leads)

    told = await here.told()
    flaws = here.judged(told, requests=[lone, closed, "unasked", "talkative", "more"])
    return Played(told, flaws, highlevel.log(), talks)


async def until_expired(highlevel: HighLevel, location: str) -> None:
    def is_so() -> bool:
        return 400 in [call.status for call in calls(highlevel, location, "messages")]

    await until(is_so, within_s, lambda: f"{calls(highlevel, location)}")


@pytest.mark.parametrize("kind", ["killed", "played"])
def test_no_message_is_told_outside_of_payloads(kind: str, request: pytest.FixtureRequest) -> None:
    """Neither by a log, nor by metrics, nor in a header; and not on screens. The budget is kept, each Sync answered once."""
    those: Played = request.getfixturevalue(kind)
    on_screens = [one for one in those.told if one.topic in ("sync.progress", "location.status")]

    assert [] == those.flaws
    assert [] == [one.offset for one in on_screens for mark in marks if mark in (one.value or b"").decode().lower()]


def test_a_killed_sync_tells_each_message_once(killed: Played) -> None:
    """Of three pages; the answer counts those that came before the kill, too."""
    assert [] == killed.wrong_with(one)
    assert [("updated", "imported", 2 * page + 100, True)] == claims(killed.told, "one")


@pytest.mark.parametrize("location", [whole, few], ids=["by_location", "by_contact"])
def test_a_killed_job_tells_each_message_once(killed: Played, location: str) -> None:
    """By one export of the location, and contact by contact where others talk that much."""
    request = {whole: "whole", few: "few"}[location]
    talks = [said for said in killed.talks if said[0].location == location]

    assert [] == [*killed.wrong_with(location), *wrong_with(killed.told, towns[location], request)]
    assert ("completed", len(sms(talks))) == killed.summary(request)


def test_killed_exports_go_on_where_they_were(killed: Played) -> None:
    """Each kill costs what was on its way: a page, or one of each of three leads."""
    pages_of_whole = -(-len(sms(said for said in killed.talks if said[0].location == whole)) // page)
    look = 1  # that tells how many messages there are

    assert 3 <= len(killed.statuses(one)) <= 3 + 1
    assert pages_of_whole <= len(killed.statuses(whole)) <= pages_of_whole + 2
    assert look + 3 * 2 <= len(killed.statuses(few)) <= look + 3 * 2 + 3


def test_what_is_said_meanwhile_is_told_by_this_or_the_next_one(played: Played) -> None:
    """New, late and tied messages, each once; some had another status by then."""
    jobs = [played.summary(request) for request in (chatty, "again")]
    (alone,) = claims(played.told, "talkative")
    there = [said for said in played.talks if said[0].location == chatty]

    assert [] == played.wrong_with(chatty, "status")
    assert ["completed", "completed"] == [kind for kind, _ in jobs]
    assert len(sms(there)) == sum(number for _, number in jobs) + alone[2]
    assert len(sms(there)) > len(sms(talks_of(chatty, 60)))  # something was said


def test_an_expired_cursor_loses_and_repeats_nothing(played: Played) -> None:
    """Of a job, and of a Sync."""
    of_job = [said for said in played.talks if said[0].location == expiring]

    assert 400 in played.statuses(expiring)
    assert 400 in played.statuses(lone)
    assert [] == [*played.wrong_with(expiring), *played.wrong_with(lone)]
    assert [] == wrong_with(played.told, towns[expiring], expiring)
    assert ("completed", len(sms(of_job))) == played.summary(expiring)
    assert [("updated", "imported", 2 * page + 100, True)] == claims(played.told, lone)


def test_the_next_sync_reads_its_pages_without_a_refusal(played: Played) -> None:
    """From ten minutes before the last message on, page after page."""
    assert [("updated", "imported", page + 100, True)] == claims(played.told, "more")
    assert [200, 200] == played.statuses(lone)[-2:]


def test_without_the_scope_messages_alone_have_failed(played: Played) -> None:
    """Contacts go on: of the Sync itself, of a change after it, and of all leads of a job. Nobody says the location ails."""
    states = {
        (state["location_id"], state["state"]) for state in data(played.told, "location.status", "location.status")
    }
    changed = [
        (result["outcome"], result["messages"])
        for result in data(played.told, "lead.updates", "lead.synced")
        if result["lead_id"] == towns[closed].leads[1].id
    ]

    assert [("updated", "failed", 0, True)] == claims(played.told, closed)
    assert [("updated", "not_asked")] == changed
    assert [] == wrong_with(played.told, towns[refused], refused)
    assert ("completed", 0) == played.summary(refused)
    assert (1, 1) == (len(played.statuses(closed)), len(played.statuses(refused)))
    assert {"ok"} == {state for location, state in states if location in (closed, refused)}


def test_a_job_without_the_scope_says_so_of_each_lead(played: Played) -> None:
    results = [one for one in data(played.told, "lead.updates", "lead.synced") if one["location_id"] == refused]
    said = {one["lead_id"]: one["messages"] for one in results if one["outcome"] == "updated"}

    assert {lead.id: "failed" for lead in towns[refused].leads if lead.outcome == "updated"} == said


def test_unasked_for_messages_cost_no_call(played: Played) -> None:
    """A Sync and a Sync All that want none, and a change, which never does."""
    results = [one for one in data(played.told, "lead.updates", "lead.synced") if one["location_id"] == unasked]

    assert ([], 0) == (played.statuses(unasked), imported(played.told, unasked))
    assert {"not_asked"} == {one["messages"] for one in results}


def test_leads_that_share_a_contact_are_told_its_messages_each(played: Played) -> None:
    assert [] == played.wrong_with(shared)
    assert ("completed", 2 * 30) == played.summary(shared)
