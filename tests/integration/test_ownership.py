"""A partition may change its owner at any moment (DESIGN §1, §6): no call past its permit, nothing twice, nothing lost.

In each test one location has more to ask than its budget allows, so that it is busy while its owner changes.
"""

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from random import Random

import pytest

from processor.topics import home
from tests.integration.canaries import Lead, made_up, places
from tests.integration.stage import HighLevel, Stage, Worker, stage, until
from tests.lab.kafka_node import Broker

pytestmark = pytest.mark.integration

heavy, light = 200, 20  # leads of a location that each cost a call: 22 s at 9 a second, and 2 s
static_session_s = 30  # a static member's successor has so long to come
drains_within_s = 12  # SIGTERM: 10 s, and a little for a busy machine


@pytest.fixture
async def here(broker: Broker, topic_prefix: str, tmp_path: Path) -> AsyncIterator[Stage]:
    async with stage(broker.bootstrap, topic_prefix, tmp_path) as made:
        yield made


def backlog(here: Stage) -> list[Lead]:
    """Return the leads of one busy location, and of five that soon have nothing left to ask. Every partition has some."""
    busy, *others = places(6, here.partitions)
    return made_up(busy, heavy) + [
        lead for each, name in enumerate(others) for lead in made_up(name, light, 1000 + 100 * each)
    ]


def owner_of(lead: Lead, here: Stage, *workers: Worker) -> tuple[Worker, Worker]:
    """Return the worker that owns the lead's partition, and the other one."""
    first, second = workers
    return (first, second) if home(lead.location, here.partitions) in first.owned else (second, first)


async def request_syncs(here: Stage, leads: list[Lead], dice: Random, asked: list[str]) -> None:
    """Publish a few Syncs, so that the next fault meets open requests, too."""
    fresh = [f"request-{len(asked) + each}" for each in range(5)]
    await here.publish([dice.choice(leads).sync(request) for request in fresh])
    asked += fresh


async def test_kill_9_at_any_moment_loses_nothing_and_repeats_nothing(here: Stage) -> None:
    """A static member is back at once, well within the 10 s that HighLevel counts its calls. The second time its state is
    gone."""
    dice, leads, asked = Random(1), backlog(here), list[str]()
    highlevel = here.highlevel(leads)
    worker = here.worker("only", highlevel, KAFKA_GROUP_INSTANCE_ID="only")
    await here.publish([lead.change() for lead in leads])
    for kills in range(3):
        await here.results_are(40 + 50 * kills + dice.randrange(40))
        await request_syncs(here, leads, dice, asked)
        await asyncio.sleep(dice.random() / 4)
        worker.kill()
        if kills == 1:
            shutil.rmtree(here.state("only"))
        worker = here.worker("only", highlevel, KAFKA_GROUP_INSTANCE_ID="only")
    await here.answered(leads, asked)

    assert [] == await here.flaws(leads, asked)


async def test_a_zombie_is_fenced_and_then_works_on(here: Stage) -> None:
    """It stands still until another worker has its partitions, then goes on with responses to ingest and calls to make."""
    dice, leads, asked = Random(2), backlog(here), list[str]()
    highlevel = here.highlevel(leads)
    workers = here.worker("first", highlevel), here.worker("second", highlevel)
    await here.publish([lead.change() for lead in leads])
    await here.shared(*workers)
    await here.results_are(60)
    zombie, heir = owner_of(leads[0], here, *workers)
    lost = zombie.owned
    zombie.stand_still()
    await request_syncs(here, leads, dice, asked)
    await until(lambda: len(heir.open) == here.partitions, 60, lambda: f"{heir.open}, {heir.last_words()}")
    results = len(here.results)
    await here.results_are(results + 20)
    zombie.go_on()
    await here.shared(*workers)
    await here.answered(leads, asked)

    assert [] == await here.flaws(leads, asked)
    assert lost >= {note["partition"] for note in zombie.notes("fenced")}  # unless its membership learned it first
    assert len(zombie.notes("fenced") + heir.notes("fenced")) <= 2 * here.partitions


async def test_workers_join_and_leave_while_work_goes_on(here: Stage) -> None:
    """A worker that leaves has drained. A partition that stays with its worker carries on without restoring."""
    dice, leads, asked = Random(3), backlog(here), list[str]()
    highlevel = here.highlevel(leads)
    first = here.worker("first", highlevel)
    await here.publish([lead.change() for lead in leads])
    await here.shared(first)
    await here.results_are(20)
    second = here.worker("second", highlevel)
    await here.shared(first, second)
    await request_syncs(here, leads, dice, asked)
    before = first.owned, second.owned
    third = here.worker("third", highlevel)
    await here.shared(first, second, third)
    stayed = [one.owned & had for one, had in zip((first, second), before, strict=True)]
    await request_syncs(here, leads, dice, asked)
    third.terminate()
    left = await third.ended(drains_within_s)
    await here.shared(first, second)
    opened_or_closed = [
        note["partition"]
        for one, kept in zip((first, second), stayed, strict=True)
        for note in one.notes("opened", "closed")
        if note["partition"] in kept
    ]
    first.terminate()
    ends = left, await first.ended(drains_within_s)
    await here.answered(leads, asked)

    assert [] == await here.flaws(leads, asked)
    assert (0, 0) == ends
    assert sorted([*stayed[0], *stayed[1]]) == sorted(opened_or_closed)  # each was opened once, and never closed
    assert len(stayed[0] | stayed[1]) == 3  # of four, one went to the third and came back


async def test_a_static_member_comes_back_to_its_partitions(here: Stage) -> None:
    """Restarted with its instance id it has the same partitions again, and the other worker notices nothing."""
    dice, leads, asked = Random(4), backlog(here), list[str]()
    highlevel = here.highlevel(leads)
    members = [here.worker(name, highlevel, KAFKA_GROUP_INSTANCE_ID=name) for name in ("left", "right")]
    await here.publish([lead.change() for lead in leads])
    await here.shared(*members)
    await here.results_are(60)
    leaves, stays = owner_of(leads[0], here, *members)
    before, assignments = leaves.owned, len(stays.notes("owned"))
    await request_syncs(here, leads, dice, asked)
    leaves.terminate()
    code = await leaves.ended(drains_within_s)
    back = here.worker(leaves.name, highlevel, KAFKA_GROUP_INSTANCE_ID=leaves.name)
    await here.shared(back, stays)
    after = back.owned
    await here.answered(leads, asked)

    assert assignments == len(stays.notes("owned"))
    assert [] == await here.flaws(leads, asked)
    assert (0, before) == (code, after)


async def test_of_two_workers_with_one_instance_id_the_older_ends(here: Stage) -> None:
    """A mistake in KAFKA_GROUP_INSTANCE_ID: the older one reports it and ends, else they would replace each other forever."""
    dice, leads, asked = Random(5), backlog(here), list[str]()
    highlevel = here.highlevel(leads)
    older = here.worker("older", highlevel, KAFKA_GROUP_INSTANCE_ID="same")
    await here.publish([lead.change() for lead in leads])
    await here.shared(older)
    await here.results_are(60)
    newer = here.worker("newer", highlevel, KAFKA_GROUP_INSTANCE_ID="same")
    await request_syncs(here, leads, dice, asked)
    code = await older.ended(static_session_s + 10)
    await here.shared(newer)
    await here.answered(leads, asked)

    assert 2 == code
    assert "another worker has joined as KAFKA_GROUP_INSTANCE_ID=same" in older.said
    assert [] == newer.notes("fenced")
    assert [] == await here.flaws(leads, asked)


async def test_sigterm_waits_for_the_calls_in_flight(here: Stage) -> None:
    """HighLevel takes 2 s to respond, so many calls are in flight: each of them is in the results when the worker is gone."""
    leads = backlog(here)
    highlevel = here.highlevel(leads, latency_ms=2_000)
    worker = here.worker("first", highlevel)
    await here.publish([lead.change() for lead in leads])
    await here.results_are(60)
    worker.terminate()
    code = await worker.ended(drains_within_s)
    called = [call for calls in highlevel.log().values() for call in calls]
    await until(lambda: len(here.results) >= len(called), 10, lambda: f"{len(here.results)} of {len(called)} calls")

    assert (0, len(called)) == (code, len(here.results))
    assert {200} == {call.status for call in called}
    here.worker("first", highlevel, HYDRANT_PROBE_SIZE=50)
    await here.answered(leads)
    assert [] == await here.flaws(leads)


async def test_sigterm_while_highlevel_hangs(here: Stage) -> None:
    """Responses are waited for, but not forever. The next worker asks anew, within the budget."""
    leads = backlog(here)
    highlevel = here.highlevel(leads)
    worker = here.worker("first", highlevel)
    await here.publish([lead.change() for lead in leads])
    await here.results_are(60)
    highlevel.fault(kind="hang")
    await until(lambda: hanging(highlevel) >= 5, 10, lambda: f"{hanging(highlevel)} calls hang")
    worker.terminate()
    code = await worker.ended(drains_within_s)
    highlevel.cure()
    here.worker("first", highlevel, HYDRANT_PROBE_SIZE=50)
    await here.answered(leads)

    assert 0 == code
    assert [] == await here.flaws(leads)


def hanging(highlevel: HighLevel) -> int:
    return sum(call.status == 0 for calls in highlevel.log().values() for call in calls)
