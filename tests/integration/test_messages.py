"""Test messages under faults on a real Kafka: each SMS of a lead's contact is published once, and contacts don't suffer.

One worker runs all but the kills, each in a location of its own; each test looks at its part.
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
from tests.integration.jobs import (
    calls,
    job_events,
    job_flaws,
    load_towns,
    start_named_worker,
    sync_all,
    wait_for_calls,
    wait_for_job,
    within_s,
)
from tests.integration.judge import data
from tests.integration.residents import Contact, Resident, Town, strangers_since
from tests.integration.talks import (
    LeadMessage,
    add_messages,
    chatter_of,
    imported,
    page,
    sms,
    sync_results,
    talk,
    wrong_messages,
)
from tests.integration.trial import Trial, trial
from tests.lab.harness.calls import Arrival
from tests.lab.harness.process import wait_until
from tests.lab.harness.sandbox import SandboxProcess
from tests.lab.harness.worker import WorkerProcess
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
strangers: Final = [
    Resident(few, strangers_since + each) for each in range(10)
]  # contacts without a lead, but with messages


def talks_of(location: str, each: int) -> list[LeadMessage]:
    """Return messages of the leads that a contact is found for."""
    found = [lead for lead in towns[location].leads if lead.outcome in ("updated", "unchanged")]
    return [message for lead in found for message in talk(lead, each)]


@dataclass(frozen=True)
class Observed:
    records: Sequence[Record]
    flaws: Sequence[str]
    arrivals: Mapping[str, Sequence[Arrival]]  # by location
    talks: Sequence[LeadMessage]

    def statuses(self, location: str) -> list[int]:
        """Return the status of each export there."""
        return [call.status for call in self.arrivals.get(location, ()) if call.kind == "messages"]

    def flaws_at(self, location: str, *but: str) -> list[str]:
        here = [record for record in self.records if (record.key or b"").decode() == location]
        return wrong_messages(here, [pair for pair in self.talks if pair[0].location == location], but)

    def summary(self, request: str) -> tuple[str, int]:
        kind, last = job_events(self.records, request)[-1]
        return kind, last["messages_imported"]


def play(broker: Broker, folder: Path, kind: str) -> Observed:
    async def play() -> Observed:
        async with trial(broker.bootstrap, f"test-{uuid4().hex[:12]}.", folder / kind, partitions) as here:
            return await (run_with_kills(here) if kind == "killed" else run_with_faults(here))

    (folder / kind).mkdir()
    return asyncio.run(play())


@pytest.fixture(scope="module")
def killed(broker: Broker, tmp_path_factory: pytest.TempPathFactory) -> Observed:
    return play(broker, tmp_path_factory.mktemp("messages"), "killed")


@pytest.fixture(scope="module")
def observed(broker: Broker, tmp_path_factory: pytest.TempPathFactory) -> Observed:
    return play(broker, tmp_path_factory.mktemp("messages"), "observed")


async def run_with_kills(here: Trial) -> Observed:
    """Kill the worker in each export while a page is in flight; in the longest one again while a page is ingested."""
    there = [towns[location] for location in (one, whole, few)]
    strangers_contacts = [Contact(few, stranger.number) for stranger in strangers]
    highlevel = here.start_highlevel([*(contact for town in there for contact in town.contacts), *strangers_contacts])
    talks = [*talks_of(one, 2 * page + 100), *talks_of(whole, 23), *talks_of(few, page + 200)]
    add_messages(highlevel, [*talks, *(pair for stranger in strangers for pair in talk(stranger, 200))])
    highlevel.add_fault(kind="slow", delay_ms=300, call="messages")
    worker = start_named_worker(here, highlevel)
    await load_towns(here, *there)

    await here.publish([towns[one].leads[0].sync("one", include_messages=True, deadline_s=patient_s)])
    worker = await kill_at(here, highlevel, worker, one, 2)
    await here.wait_for_leads((), ["one"])

    await here.publish([sync_all(whole, "whole", messages=True)])
    worker = await kill_at(here, highlevel, worker, whole, 2)
    await wait_until(lambda: imported(here.outputs, whole) > page, within_s, lambda: f"{here.last_lines}")
    worker = restart(here, highlevel, worker)
    await wait_for_job(here, "whole", "completed")

    await here.publish([sync_all(few, "few", messages=True)])
    worker = await kill_at(here, highlevel, worker, few, 3)
    await wait_for_job(here, "few", "completed")

    records = await here.end_workers()
    return Observed(records, here.flaws_in(records, requests=["one"]), highlevel.arrivals_by_location(), talks)


async def kill_at(
    here: Trial, highlevel: SandboxProcess, worker: WorkerProcess, location: str, export: int
) -> WorkerProcess:
    """Kill the worker while this export is in flight. Return the successor."""
    await wait_for_calls(highlevel, location, export, "messages")
    return restart(here, highlevel, worker)


def restart(here: Trial, highlevel: SandboxProcess, worker: WorkerProcess) -> WorkerProcess:
    worker.kill()
    return start_named_worker(here, highlevel)


async def run_with_faults(here: Trial) -> Observed:
    highlevel, talks = await start_with_faults(here)
    talks += await run_first_requests(here, highlevel)
    talkative = towns[chatty].leads[0]
    await here.publish([talkative.sync("talkative", include_messages=True)])
    await here.wait_for_leads((), ["talkative", "more"])
    highlevel.change_settings(location=chatty, chatter=None)
    await here.publish([sync_all(chatty, "again", messages=True)])
    await wait_for_job(here, "again", "completed")
    talks += chatter_of(highlevel, towns[chatty].leads)
    records = await here.end_workers()
    flaws = here.flaws_in(records, requests=[lone, closed, "unasked", "talkative", "more"])
    return Observed(records, flaws, highlevel.arrivals_by_location(), talks)


async def start_with_faults(here: Trial) -> tuple[SandboxProcess, list[LeadMessage]]:
    """Start HighLevel with all faults, and a worker that knows all leads. Return the messages that must be published."""
    there = [towns[name] for name in (chatty, expiring, lone, closed, refused, unasked)]
    highlevel = here.start_highlevel(contact for town in [*there, sharing] for contact in town.contacts)
    talks = [*talks_of(chatty, 60), *talks_of(expiring, 20), *talks_of(lone, 2 * page + 100)]
    silent = [*talks_of(closed, 5), *talks_of(refused, 5), *talks_of(unasked, 5)]
    first, second = sharing.leads
    both = talk(first, 30)
    add_messages(highlevel, [*talks, *silent, *both])
    talks += [*both, *((second, message) for _, message in both)]
    for location in (expiring, lone):
        highlevel.add_fault(kind="slow", delay_ms=300, call="messages", location=location)
        highlevel.change_settings(location=location, cursor_life_s=0.05)
    for location in (closed, refused):
        highlevel.change_settings(location=location, message_scope=False)
    highlevel.change_settings(location=chatty, chatter=chatter)
    start_named_worker(here, highlevel)
    await load_towns(here, *there)
    await here.publish([lead.change(loading=True, contact_id=contact_id(first.number)) for lead in sharing.leads])
    return highlevel, talks


async def run_first_requests(here: Trial, highlevel: SandboxProcess) -> list[LeadMessage]:
    """Publish all requests, let cursors expire, and wait. Return the messages that come meanwhile."""
    jobs = [sync_all(location, location, messages=True) for location in (chatty, expiring, refused, shared)]
    alone = [towns[name].leads[0].sync(name, include_messages=True, deadline_s=patient_s) for name in (lone, closed)]
    others = [sync_all(unasked, unasked), towns[unasked].leads[1].sync("unasked")]
    await here.publish([*jobs, *alone, *others])
    for location in (expiring, lone):
        await until_expired(highlevel, location)
        highlevel.change_settings(location=location, cursor_life_s=None)
    await here.wait_for_leads((), [lone, closed, "unasked"])
    more = talk(towns[lone].leads[0], page + 100, since=2 * page + 100)
    add_messages(highlevel, more)
    await here.publish([towns[lone].leads[0].sync("more", include_messages=True, deadline_s=patient_s)])
    await here.publish([towns[closed].leads[1].change(2), towns[unasked].leads[2].change(2)])
    await asyncio.gather(
        *(wait_for_job(here, name, "completed") for name in (chatty, expiring, refused, unasked, shared))
    )
    await here.wait_for_leads([towns[closed].leads[1]])
    return more


async def until_expired(highlevel: SandboxProcess, location: str) -> None:
    def expired() -> bool:
        return 400 in [call.status for call in calls(highlevel, location, "messages")]

    await wait_until(expired, within_s, lambda: f"{calls(highlevel, location)}")


@pytest.mark.parametrize("kind", ["killed", "observed"])
def test_no_message_leaks_from_payloads(kind: str, request: pytest.FixtureRequest) -> None:
    """Logs, metrics, headers, progress and status are free of them. The budget is kept, each Sync answered once."""
    those: Observed = request.getfixturevalue(kind)
    on_screens = [one for one in those.records if one.topic in ("sync.progress", "location.status")]

    assert [] == those.flaws
    assert [] == [one.offset for one in on_screens for mark in marks if mark in (one.value or b"").decode().lower()]


def test_a_killed_sync_publishes_each_message_once(killed: Observed) -> None:
    """It reads three pages; the answer also counts messages from before the kill."""
    assert [] == killed.flaws_at(one)
    assert [("updated", "imported", 2 * page + 100, True)] == sync_results(killed.records, "one")


@pytest.mark.parametrize("location", [whole, few], ids=["by_location", "by_contact"])
def test_a_killed_job_publishes_each_message_once(killed: Observed, location: str) -> None:
    """It exports the location, or contact by contact where strangers have many messages."""
    request = {whole: "whole", few: "few"}[location]
    talks = [pair for pair in killed.talks if pair[0].location == location]

    assert [] == [*killed.flaws_at(location), *job_flaws(killed.records, towns[location], request)]
    assert ("completed", len(sms(talks))) == killed.summary(request)


def test_killed_exports_go_on_where_they_were(killed: Observed) -> None:
    """Each kill costs what was in flight: a page, or one of each of three leads."""
    pages_of_whole = -(-len(sms(pair for pair in killed.talks if pair[0].location == whole)) // page)
    look = 1  # for the number of messages

    assert 3 <= len(killed.statuses(one)) <= 3 + 1
    assert pages_of_whole <= len(killed.statuses(whole)) <= pages_of_whole + 2
    assert look + 3 * 2 <= len(killed.statuses(few)) <= look + 3 * 2 + 3


def test_new_messages_come_by_this_job_or_the_next(observed: Observed) -> None:
    """New, late and tied messages come once each; some have another status by then."""
    jobs = [observed.summary(request) for request in (chatty, "again")]
    (alone,) = sync_results(observed.records, "talkative")
    there = [pair for pair in observed.talks if pair[0].location == chatty]

    assert [] == observed.flaws_at(chatty, "status")
    assert ["completed", "completed"] == [kind for kind, _ in jobs]
    assert len(sms(there)) == sum(number for _, number in jobs) + alone[2]
    assert len(sms(there)) > len(sms(talks_of(chatty, 60)))  # there were new messages


def test_an_expired_cursor_loses_and_repeats_nothing(observed: Observed) -> None:
    """It happens to a job, and to a Sync."""
    of_job = [pair for pair in observed.talks if pair[0].location == expiring]

    assert 400 in observed.statuses(expiring)
    assert 400 in observed.statuses(lone)
    assert [] == [*observed.flaws_at(expiring), *observed.flaws_at(lone)]
    assert [] == job_flaws(observed.records, towns[expiring], expiring)
    assert ("completed", len(sms(of_job))) == observed.summary(expiring)
    assert [("updated", "imported", 2 * page + 100, True)] == sync_results(observed.records, lone)


def test_the_next_sync_reads_its_pages_without_a_refusal(observed: Observed) -> None:
    """It reads page after page from ten minutes before the last message on."""
    assert [("updated", "imported", page + 100, True)] == sync_results(observed.records, "more")
    assert [200, 200] == observed.statuses(lone)[-2:]


def test_without_the_scope_messages_alone_have_failed(observed: Observed) -> None:
    """Contacts are still found: of the Sync, of a change after it, and of all leads of a job. The location stays ok."""
    states = {
        (state["location_id"], state["state"]) for state in data(observed.records, "location.status", "location.status")
    }
    changed = [
        (result["outcome"], result["messages"])
        for result in data(observed.records, "lead.updates", "lead.synced")
        if result["lead_id"] == towns[closed].leads[1].id
    ]

    assert [("updated", "failed", 0, True)] == sync_results(observed.records, closed)
    assert [("updated", "not_asked")] == changed
    assert [] == job_flaws(observed.records, towns[refused], refused)
    assert ("completed", 0) == observed.summary(refused)
    assert (1, 1) == (len(observed.statuses(closed)), len(observed.statuses(refused)))
    assert {"ok"} == {state for location, state in states if location in (closed, refused)}


def test_a_job_without_the_scope_reports_that_for_each_lead(observed: Observed) -> None:
    results = [one for one in data(observed.records, "lead.updates", "lead.synced") if one["location_id"] == refused]
    by_lead = {one["lead_id"]: one["messages"] for one in results if one["outcome"] == "updated"}

    assert {lead.id: "failed" for lead in towns[refused].leads if lead.outcome == "updated"} == by_lead


def test_messages_that_are_not_wanted_cost_no_call(observed: Observed) -> None:
    """A Sync and a Sync All without messages, and a change, make no export."""
    results = [one for one in data(observed.records, "lead.updates", "lead.synced") if one["location_id"] == unasked]

    assert ([], 0) == (observed.statuses(unasked), imported(observed.records, unasked))
    assert {"not_asked"} == {one["messages"] for one in results}


def test_leads_that_share_a_contact_each_have_its_messages(observed: Observed) -> None:
    assert [] == observed.flaws_at(shared)
    assert ("completed", 2 * 30) == observed.summary(shared)
