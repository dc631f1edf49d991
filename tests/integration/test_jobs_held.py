"""Jobs that something holds up: the day's share is spent, the token is refused, HighLevel answers with rubbish.

One worker plays all of it once, each in a location of its own; each test looks at its part.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final
from uuid import uuid4

import pytest

from processor.events.cloudevents import Record
from tests.integration.canaries import marks, places
from tests.integration.job_stage import calls, named, put, tell_of, until_told, within_s, wrong_with
from tests.integration.jobs import Course, calls_of_a_scan, course, sync_all
from tests.integration.residents import Town
from tests.integration.stage import HighLevel, Stage, stage, until
from tests.lab.demo.spent import Arrival
from tests.lab.kafka_node import Broker

pytestmark = pytest.mark.integration

partitions: Final = 4
per_day, reserve = 20, 0.5  # calls, and the share that is kept from jobs
share: Final = 10  # so that this is theirs
spends, refused, rubbish, fails = places(4, partitions)
towns: Final = {
    spends: Town(spends, 700, strangers=4_900),  # a scan costs more than the share
    refused: Town(refused, 45, since=10_000),
    rubbish: Town(rubbish, 300, strangers=300, since=20_000),
    fails: Town(fails, 300, strangers=300, since=30_000),
}
requests: Final = ("wanted", "later")
bad: Final = (
    {"kind": "malformed", "body": '{"contacts":[{"email":"canary.mail.1@example.com","firstName":"Canarygiven1'},
    {"kind": "status", "status": 500, "message": "canary.mail.2@example.com: +1990042424 is no phone of Canaryname2"},
    {"kind": "truncated"},
)
refusal: Final = {"kind": "status", "status": 400, "message": "Canaryname3 must not be canary.mail.3@example.com"}


@dataclass(frozen=True)
class Played:
    told: Sequence[Record]
    flaws: Sequence[str]
    arrivals: Mapping[str, Sequence[Arrival]]  # by location
    paused: Mapping[str, tuple[Course, Sequence[Arrival]]]  # by location: what was told, and called, by then
    reset: float  # s since 1970, when HighLevel said that its day ends

    def wrong_with(self, location: str) -> list[str]:
        return wrong_with(self.told, towns[location], location)


@pytest.fixture(scope="module")
def played(broker: Broker, tmp_path_factory: pytest.TempPathFactory) -> Played:
    async def play() -> Played:
        folder = tmp_path_factory.mktemp("held")
        async with stage(broker.bootstrap, f"test-{uuid4().hex[:12]}.", folder, partitions) as here:
            return await suffer(here)

    return asyncio.run(play())


async def suffer(here: Stage) -> Played:
    """A job's request id is its location's."""
    highlevel = here.highlevel(one for town in towns.values() for one in town.contacts)
    tokens = here.folder / "tokens.toml"
    write(tokens, dict.fromkeys(towns, "canary-old"))
    put(highlevel, tokens=["canary-old"])
    put(highlevel, location=refused, tokens=["canary-new"], refusal="revoked")
    for fault in bad:
        highlevel.fault(location=rubbish, times=1, **fault)
    highlevel.fault(location=fails, **refusal)
    put(highlevel, location=spends, day_resets_in_s=600)
    reset = time.time() + 600
    settings = {"GHL_TOKEN": "", "GHL_TOKENS_FILE": tokens}
    named(here, highlevel, GHL_REQUESTS_PER_DAY=per_day, GHL_DAILY_RESERVE=reserve, **settings)
    await tell_of(here, *towns.values())
    await here.publish([sync_all(location, location) for location in towns])
    paused = {}
    for location in (spends, refused):
        await until_told(here, location, "paused")
        paused[location] = course(here.heard, location), calls(highlevel, location)
    write(tokens, {**dict.fromkeys(towns, "canary-old"), refused: "canary-new"})
    await spend_the_rest(here, highlevel)
    await asyncio.gather(*(until_told(here, location, "completed") for location in (spends, refused, rubbish)))
    await until_told(here, fails, "failed")
    told = await here.told()
    return Played(told, here.judged(told, requests=requests), highlevel.log(), paused, reset)


async def spend_the_rest(here: Stage, highlevel: HighLevel) -> None:
    """A change and a Sync; then one whose answer says that the day ends soon. By then no other call counts in the next."""
    changed, wanted, later = towns[spends].leads[:3]
    await here.publish([changed.change(2), wanted.sync("wanted")])
    await here.answered([changed], ["wanted"])
    last_ms = calls(highlevel, spends)[-1].at
    await until(lambda: time.time() * 1_000 > last_ms + 11_000, within_s, str)
    put(highlevel, location=spends, day_resets_in_s=5)
    await here.publish([later.sync("later")])


def write(file: Path, tokens: Mapping[str, str]) -> None:
    """As a careful operator does: nobody sees half of it."""
    fresh = file.with_suffix(".new")
    fresh.write_text("".join(f'"{location}" = "{token}"\n' for location, token in tokens.items()))
    fresh.replace(file)


def test_nothing_personal_is_told_and_nothing_twice(played: Played) -> None:
    """Neither by the worker's log, nor its metrics, nor in headers; and not in what screens are told of jobs and locations."""
    on_screens = [one for one in played.told if one.topic in ("sync.progress", "location.status")]

    assert [] == played.flaws
    assert [] == [one.offset for one in on_screens for mark in marks if mark in (one.value or b"").decode().lower()]


def test_a_job_whose_day_is_spent_says_so_and_until_when(played: Played) -> None:
    told, called = played.paused[spends]
    kind, said = told[-1]

    assert ("paused", "daily_budget", share, share) == (kind, said["reason"], said["calls_spent"], len(called))
    assert abs(datetime.fromisoformat(said["paused_until"]).timestamp() - played.reset) < 5
    assert said["paused_until"] <= said["eta"]


def test_meanwhile_changes_and_syncs_are_answered_and_then_it_goes_on(played: Played) -> None:
    """They have the rest of the day; the job's next page comes with the next day."""
    scan = calls_of_a_scan(len(towns[spends].contacts))

    assert [] == played.wrong_with(spends)
    assert len(played.arrivals[spends]) in (scan + 2, scan + 3)  # the change and the first Sync may share one


def test_a_job_whose_token_is_refused_says_so_and_goes_on_with_a_new_one(played: Played) -> None:
    told, called = played.paused[refused]

    assert ["started", "paused"] == [kind for kind, _ in told]
    assert ("unauthorized", 1) == (told[-1][1]["reason"], len(called))
    assert [] == played.wrong_with(refused)
    assert [401, 200] == [call.status for call in played.arrivals[refused]]


def test_rubbish_is_asked_for_again(played: Played) -> None:
    """Each page once more, whatever was wrong with its answer."""
    statuses = [call.status for call in played.arrivals[rubbish]]

    assert [] == played.wrong_with(rubbish)
    assert [200, 500, 0] == statuses[: len(bad)]
    assert calls_of_a_scan(len(towns[rubbish].contacts)) == len(statuses) - len(bad)


def test_a_refused_page_fails_its_job_alone(played: Played) -> None:
    told = course(played.told, fails)

    assert [("failed", "refused")] == [(kind, said["reason"]) for kind, said in told]
    assert [400] == [call.status for call in played.arrivals[fails]]
