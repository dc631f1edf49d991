"""Test that the owner of a partition may change at any moment (DESIGN §1, §6): no call without permit, nothing repeated or lost.

In each test one location has more leads than its budget allows calls, so that it is busy across all that happens to its owner.
"""

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from random import Random

import pytest

from processor.topics import home
from tests.integration.canaries import Lead, made_up, places
from tests.integration.trial import Trial, trial
from tests.lab.harness.process import wait_until
from tests.lab.harness.sandbox import SandboxProcess
from tests.lab.harness.worker import WorkerProcess
from tests.lab.kafka_node import Broker

pytestmark = pytest.mark.integration

heavy, light = 200, 20  # leads of a location that each cost a call: 22 s at 9 a second, and 2 s
named_session_s = 30  # of a static member: its successor has so long to come
drains_within_s = 12  # SIGTERM: 10 s, and a little for a busy machine


@pytest.fixture
async def here(broker: Broker, topic_prefix: str, tmp_path: Path) -> AsyncIterator[Trial]:
    async with trial(broker.bootstrap, topic_prefix, tmp_path) as made:
        yield made


def backlog(here: Trial) -> list[Lead]:
    """Make a busy location, and five that are soon done; every partition has some."""
    busy, *others = places(6, here.partitions)
    return made_up(busy, heavy) + [
        lead for each, name in enumerate(others) for lead in made_up(name, light, 1000 + 100 * each)
    ]


def owner_of(lead: Lead, here: Trial, *workers: WorkerProcess) -> tuple[WorkerProcess, WorkerProcess]:
    """Return the worker that has the lead's partition, and the other one."""
    first, second = workers
    return (first, second) if home(lead.location, here.partitions) in first.owned else (second, first)


async def publish_syncs(here: Trial, leads: list[Lead], dice: Random, requests: list[str]) -> None:
    """Publish a few Syncs, so that all that happens next happens to requests, too."""
    fresh = [f"request-{len(requests) + each}" for each in range(5)]
    await here.publish([dice.choice(leads).sync(request) for request in fresh])
    requests += fresh


async def test_kill_9_at_any_moment_loses_nothing_and_repeats_nothing(here: Trial) -> None:
    """A static member is back at once, well within the 10 s that HighLevel remembers its calls.

    The second time its state is lost.
    """
    dice, leads, requests = Random(1), backlog(here), list[str]()
    highlevel = here.start_highlevel(leads)
    worker = here.start_worker("only", highlevel, KAFKA_GROUP_INSTANCE_ID="only")
    await here.publish([lead.change() for lead in leads])
    for kills in range(3):
        await here.wait_for_results(40 + 50 * kills + dice.randrange(40))
        await publish_syncs(here, leads, dice, requests)
        await asyncio.sleep(dice.random() / 4)
        worker.kill()
        if kills == 1:
            shutil.rmtree(here.state_folder("only"))
        worker = here.start_worker("only", highlevel, KAFKA_GROUP_INSTANCE_ID="only")
    await here.wait_for_leads(leads, requests)

    assert [] == await here.flaws(leads, requests)


async def test_a_zombie_is_fenced_and_then_works_on(here: Trial) -> None:
    """Paused until its partitions belong to another worker, it resumes with responses to ingest and calls to make."""
    dice, leads, requests = Random(2), backlog(here), list[str]()
    highlevel = here.start_highlevel(leads)
    workers = here.start_worker("first", highlevel), here.start_worker("second", highlevel)
    await here.publish([lead.change() for lead in leads])
    await here.wait_until_shared(*workers)
    await here.wait_for_results(60)
    zombie, heir = owner_of(leads[0], here, *workers)
    lost = zombie.owned
    zombie.pause()
    await publish_syncs(here, leads, dice, requests)
    await wait_until(lambda: len(heir.open) == here.partitions, 60, lambda: f"{heir.open}, {heir.last_lines()}")
    results = len(here.results)
    await here.wait_for_results(results + 20)
    zombie.resume()
    await here.wait_until_shared(*workers)
    await here.wait_for_leads(leads, requests)

    assert [] == await here.flaws(leads, requests)
    assert lost >= {
        note["partition"] for note in zombie.log_events("fenced")
    }  # unless its membership learned of it first
    assert len(zombie.log_events("fenced") + heir.log_events("fenced")) <= 2 * here.partitions


async def test_workers_join_and_leave_while_work_goes_on(here: Trial) -> None:
    """A worker that leaves has drained; a partition that stays where it is isn't restored again."""
    dice, leads, requests = Random(3), backlog(here), list[str]()
    highlevel = here.start_highlevel(leads)
    first = here.start_worker("first", highlevel)
    await here.publish([lead.change() for lead in leads])
    await here.wait_until_shared(first)
    await here.wait_for_results(20)
    second = here.start_worker("second", highlevel)
    await here.wait_until_shared(first, second)
    await publish_syncs(here, leads, dice, requests)
    before = first.owned, second.owned
    third = here.start_worker("third", highlevel)
    await here.wait_until_shared(first, second, third)
    stayed = [one.owned & had for one, had in zip((first, second), before, strict=True)]
    await publish_syncs(here, leads, dice, requests)
    third.terminate()
    left = await third.wait_for_exit(drains_within_s)
    await here.wait_until_shared(first, second)
    moved_twice = [
        note["partition"]
        for one, kept in zip((first, second), stayed, strict=True)
        for note in one.log_events("opened", "closed")
        if note["partition"] in kept
    ]
    first.terminate()
    ends = left, await first.wait_for_exit(drains_within_s)
    await here.wait_for_leads(leads, requests)

    assert [] == await here.flaws(leads, requests)
    assert (0, 0) == ends
    assert sorted([*stayed[0], *stayed[1]]) == sorted(moved_twice)  # opened, each once, and never since
    assert len(stayed[0] | stayed[1]) == 3  # of four, one went to the third and came back


async def test_a_static_member_comes_back_to_its_partitions(here: Trial) -> None:
    """Restarted by its name, it has the same partitions again, and the other worker sees no rebalance."""
    dice, leads, requests = Random(4), backlog(here), list[str]()
    highlevel = here.start_highlevel(leads)
    named = [here.start_worker(name, highlevel, KAFKA_GROUP_INSTANCE_ID=name) for name in ("left", "right")]
    await here.publish([lead.change() for lead in leads])
    await here.wait_until_shared(*named)
    await here.wait_for_results(60)
    leaves, stays = owner_of(leads[0], here, *named)
    before, assignments = leaves.owned, len(stays.log_events("owned"))
    await publish_syncs(here, leads, dice, requests)
    leaves.terminate()
    code = await leaves.wait_for_exit(drains_within_s)
    back = here.start_worker(leaves.name, highlevel, KAFKA_GROUP_INSTANCE_ID=leaves.name)
    await here.wait_until_shared(back, stays)
    after = back.owned
    await here.wait_for_leads(leads, requests)

    assert assignments == len(stays.log_events("owned"))
    assert [] == await here.flaws(leads, requests)
    assert (0, before) == (code, after)


async def test_of_two_workers_by_one_name_the_older_ends(here: Trial) -> None:
    """After a mistake in KAFKA_GROUP_INSTANCE_ID the older one reports it and ends, and they don't fence each other for ever."""
    dice, leads, requests = Random(5), backlog(here), list[str]()
    highlevel = here.start_highlevel(leads)
    older = here.start_worker("older", highlevel, KAFKA_GROUP_INSTANCE_ID="same")
    await here.publish([lead.change() for lead in leads])
    await here.wait_until_shared(older)
    await here.wait_for_results(60)
    newer = here.start_worker("newer", highlevel, KAFKA_GROUP_INSTANCE_ID="same")
    await publish_syncs(here, leads, dice, requests)
    code = await older.wait_for_exit(named_session_s + 10)
    await here.wait_until_shared(newer)
    await here.wait_for_leads(leads, requests)

    assert 2 == code
    assert "another worker has joined as KAFKA_GROUP_INSTANCE_ID=same" in older.everything_written
    assert [] == newer.log_events("fenced")
    assert [] == await here.flaws(leads, requests)


async def test_sigterm_ingests_the_responses_in_flight(here: Trial) -> None:
    """HighLevel takes 2 s, so many calls are in flight. Each of them is in the results when the worker has ended."""
    leads = backlog(here)
    highlevel = here.start_highlevel(leads, latency_ms=2_000)
    worker = here.start_worker("first", highlevel)
    await here.publish([lead.change() for lead in leads])
    await here.wait_for_results(60)
    worker.terminate()
    code = await worker.wait_for_exit(drains_within_s)
    called = [call for calls in highlevel.arrivals_by_location().values() for call in calls]
    await wait_until(
        lambda: len(here.results) >= len(called), 10, lambda: f"{len(here.results)} of {len(called)} calls"
    )

    assert (0, len(called)) == (code, len(here.results))
    assert {200} == {call.status for call in called}
    here.start_worker("first", highlevel, HYDRANT_PROBE_SIZE=50)
    await here.wait_for_leads(leads)
    assert [] == await here.flaws(leads)


async def test_sigterm_while_highlevel_hangs(here: Trial) -> None:
    """Responses are waited for, but not for ever. The next worker calls again, within the budget."""
    leads = backlog(here)
    highlevel = here.start_highlevel(leads)
    worker = here.start_worker("first", highlevel)
    await here.publish([lead.change() for lead in leads])
    await here.wait_for_results(60)
    highlevel.add_fault(kind="hang")
    await wait_until(lambda: hanging(highlevel) >= 5, 10, lambda: f"{hanging(highlevel)} calls hang")
    worker.terminate()
    code = await worker.wait_for_exit(drains_within_s)
    highlevel.clear_faults()
    here.start_worker("first", highlevel, HYDRANT_PROBE_SIZE=50)
    await here.wait_for_leads(leads)

    assert 0 == code
    assert [] == await here.flaws(leads)


def hanging(highlevel: SandboxProcess) -> int:
    return sum(call.status == 0 for calls in highlevel.arrivals_by_location().values() for call in calls)
