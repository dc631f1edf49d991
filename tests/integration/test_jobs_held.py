"""Test jobs that must pause: the day's share is spent, the token is refused, HighLevel's responses are malformed.

One worker runs all of them once, each in a location of its own; each test looks at its part.
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
from tests.integration.jobs import (
    JobEvents,
    calls,
    calls_of_a_scan,
    job_events,
    job_flaws,
    load_towns,
    start_named_worker,
    sync_all,
    wait_for_job,
    within_s,
)
from tests.integration.residents import Town
from tests.integration.trial import Trial, trial
from tests.lab.harness.calls import Arrival
from tests.lab.harness.process import wait_until
from tests.lab.harness.sandbox import SandboxProcess
from tests.lab.kafka_node import Broker

pytestmark = pytest.mark.integration

partitions: Final = 4
per_day, reserve = 20, 0.5  # calls, and the share that is kept from jobs
share: Final = 10  # so that this is theirs
spends, refused, malformed, fails = places(4, partitions)
towns: Final = {
    spends: Town(spends, 700, strangers=4_900),  # a scan costs more than the share
    refused: Town(refused, 45, since=10_000),
    malformed: Town(malformed, 300, strangers=300, since=20_000),
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
class Observed:
    records: Sequence[Record]
    flaws: Sequence[str]
    arrivals: Mapping[str, Sequence[Arrival]]  # by location
    paused: Mapping[str, tuple[JobEvents, Sequence[Arrival]]]  # by location: what was records, and called, by then
    reset: float  # s since 1970, when HighLevel's day ends

    def flaws_at(self, location: str) -> list[str]:
        return job_flaws(self.records, towns[location], location)


@pytest.fixture(scope="module")
def observed(broker: Broker, tmp_path_factory: pytest.TempPathFactory) -> Observed:
    async def play() -> Observed:
        folder = tmp_path_factory.mktemp("held")
        async with trial(broker.bootstrap, f"test-{uuid4().hex[:12]}.", folder, partitions) as here:
            return await run_all(here)

    return asyncio.run(play())


async def run_all(here: Trial) -> Observed:
    """Run all jobs. The request id of a job is its location."""
    highlevel = here.start_highlevel(one for town in towns.values() for one in town.contacts)
    tokens = here.folder / "tokens.toml"
    write(tokens, dict.fromkeys(towns, "canary-old"))
    highlevel.change_settings(tokens=["canary-old"])
    highlevel.change_settings(location=refused, tokens=["canary-new"], refusal="revoked")
    for fault in bad:
        highlevel.add_fault(location=malformed, times=1, **fault)
    highlevel.add_fault(location=fails, **refusal)
    highlevel.change_settings(location=spends, day_resets_in_s=600)
    reset = time.time() + 600
    settings = {"GHL_TOKEN": "", "GHL_TOKENS_FILE": tokens}
    start_named_worker(here, highlevel, GHL_REQUESTS_PER_DAY=per_day, GHL_DAILY_RESERVE=reserve, **settings)
    await load_towns(here, *towns.values())
    await here.publish([sync_all(location, location) for location in towns])
    paused = {}
    for location in (spends, refused):
        await wait_for_job(here, location, "paused")
        paused[location] = job_events(here.outputs, location), calls(highlevel, location)
    write(tokens, {**dict.fromkeys(towns, "canary-old"), refused: "canary-new"})
    await spend_the_rest(here, highlevel)
    await asyncio.gather(*(wait_for_job(here, location, "completed") for location in (spends, refused, malformed)))
    await wait_for_job(here, fails, "failed")
    records = await here.end_workers()
    return Observed(records, here.flaws_in(records, requests=requests), highlevel.arrivals_by_location(), paused, reset)


async def spend_the_rest(here: Trial, highlevel: SandboxProcess) -> None:
    """Publish a change and a Sync, then one whose response says that the day ends soon. No other call counts in the next day."""
    changed, wanted, later = towns[spends].leads[:3]
    await here.publish([changed.change(2), wanted.sync("wanted")])
    await here.wait_for_leads([changed], ["wanted"])
    last_ms = calls(highlevel, spends)[-1].at
    await wait_until(lambda: time.time() * 1_000 > last_ms + 11_000, within_s, str)
    highlevel.change_settings(location=spends, day_resets_in_s=5)
    await here.publish([later.sync("later")])


def write(file: Path, tokens: Mapping[str, str]) -> None:
    """Replace the file in one step, as a careful operator does."""
    fresh = file.with_suffix(".new")
    fresh.write_text("".join(f'"{location}" = "{token}"\n' for location, token in tokens.items()))
    fresh.replace(file)


def test_no_personal_data_leaks_and_no_result_is_repeated(observed: Observed) -> None:
    """The worker's log, its metrics, headers, progress and status are free of personal data."""
    on_screens = [one for one in observed.records if one.topic in ("sync.progress", "location.status")]

    assert [] == observed.flaws
    assert [] == [one.offset for one in on_screens for mark in marks if mark in (one.value or b"").decode().lower()]


def test_a_job_on_a_spent_day_reports_that_and_its_end(observed: Observed) -> None:
    records, called = observed.paused[spends]
    kind, body = records[-1]

    assert ("paused", "daily_budget", share, share) == (kind, body["reason"], body["calls_spent"], len(called))
    assert abs(datetime.fromisoformat(body["paused_until"]).timestamp() - observed.reset) < 5
    assert body["paused_until"] <= body["eta"]


def test_changes_and_syncs_go_on_and_then_the_job_resumes(observed: Observed) -> None:
    """They use the rest of the day; the job's next page comes with the next day."""
    scan = calls_of_a_scan(len(towns[spends].contacts))

    assert [] == observed.flaws_at(spends)
    assert len(observed.arrivals[spends]) in (scan + 2, scan + 3)  # the change and the first Sync may share one


def test_a_job_with_a_refused_token_resumes_with_a_new_one(observed: Observed) -> None:
    records, called = observed.paused[refused]

    assert ["started", "paused"] == [kind for kind, _ in records]
    assert ("unauthorized", 1) == (records[-1][1]["reason"], len(called))
    assert [] == observed.flaws_at(refused)
    assert [401, 200] == [call.status for call in observed.arrivals[refused]]


def test_a_malformed_page_is_asked_for_again(observed: Observed) -> None:
    """Each page is asked for once more after a faulty response of any kind."""
    statuses = [call.status for call in observed.arrivals[malformed]]

    assert [] == observed.flaws_at(malformed)
    assert [200, 500, 0] == statuses[: len(bad)]
    assert calls_of_a_scan(len(towns[malformed].contacts)) == len(statuses) - len(bad)


def test_a_refused_page_fails_its_job_alone(observed: Observed) -> None:
    records = job_events(observed.records, fails)

    assert [("failed", "refused")] == [(kind, body["reason"]) for kind, body in records]
    assert [400] == [call.status for call in observed.arrivals[fails]]
