"""The simulated world itself is honest: time, the log and HighLevel behave as the real ones do."""

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import copy_context
from random import Random
from typing import Any, TypeVar

import pytest

from processor.engine.group import GroupIntervals
from processor.engine.ports import Fenced
from processor.highlevel.requests import Call, LeadQuestion, Question, QuestionKind, Search, http_request
from processor.ratelimit.budget import Permit
from processor.shard.store import OutRecord
from tests.lab.workload.contact import Contact
from tests.lab.workload.times import start_ms
from tests.simulation.world.broker import Entry, Faults, Kafka
from tests.simulation.world.group import Group, member
from tests.simulation.world.highlevel import Server
from tests.simulation.world.log import Session
from tests.simulation.world.loop import Stuck, VirtualLoop, running
from tests.simulation.world.network import Network
from tests.simulation.world.trace import Trace

T = TypeVar("T")


class Alive:
    dead, frozen, lands, deciding, steps = False, False, True, 0, 0

    def __init__(self, name: str = "worker") -> None:
        self.name = name
        self.aside: list[asyncio.Handle] = []
        self.task: asyncio.Task[None] | None = None

    def step(self) -> None:
        self.steps += 1

    def die_here(self) -> None: ...


def run(story: Callable[[VirtualLoop], Coroutine[Any, Any, T]]) -> T:
    loop = VirtualLoop()
    try:
        result = loop.run_until_complete(story(loop))
        if left := asyncio.all_tasks(loop):
            for task in left:
                task.cancel()
            loop.run_until_complete(asyncio.wait(left))
        return result
    finally:
        loop.close()


def kafka(loop: VirtualLoop) -> Kafka:
    return Kafka(loop, Random(1), Trace(loop), Faults())


# time


def test_an_hour_takes_no_time_and_is_an_hour() -> None:
    async def story(loop: VirtualLoop) -> int:
        await asyncio.sleep(3_600)
        return loop.ms

    assert run(story) == start_ms + 3_600_000


def test_a_wait_for_nothing_is_reported() -> None:
    async def story(loop: VirtualLoop) -> None:
        await loop.create_future()

    with pytest.raises(Stuck, match="dead-lock"):
        run(story)


def test_a_loop_that_never_waits_is_reported() -> None:
    async def story(loop: VirtualLoop) -> None:
        def again() -> None:
            loop.call_soon(again)

        again()
        await asyncio.sleep(1)

    with pytest.raises(Stuck, match="spin"):
        run(story)


# the log


def test_a_transaction_is_seen_whole_or_not_at_all_and_its_marker_takes_an_offset() -> None:
    async def story(loop: VirtualLoop) -> tuple[list[int], list[int], int]:
        log = kafka(loop)
        session = Session(log, Alive(), 0)
        await session.open()
        session._produce([OutRecord("lead.updates", b"key", b"result")], [])
        log.publish("lead.updates", 0, Entry(b"key", b"someone else's", (), loop.ms), None)
        before = [offset for offset, _ in log.committed("lead.updates", 0)]
        session._end([], [])
        return before, [offset for offset, _ in log.committed("lead.updates", 0)], log.stable_end("lead.updates", 0)

    assert run(story) == ([], [0, 1], 3)


def test_the_last_to_open_fences_the_others_and_ends_their_transaction() -> None:
    async def story(loop: VirtualLoop) -> list[tuple[int, Entry]]:
        log = kafka(loop)
        former, latter = Session(log, Alive(), 0), Session(log, Alive(), 0)
        await former.open()
        former._produce([OutRecord("lead.updates", b"key", b"former")], [("key", b"row")])
        await latter.open()
        with pytest.raises(Fenced):
            await former.commit([], [("key", b"row")])
        await latter.commit([OutRecord("lead.updates", b"key", b"latter")], [])
        return log.committed("lead.updates", 0)

    assert [entry.value for _, entry in run(story)] == [b"latter"]


def test_a_position_passes_markers() -> None:
    """Nothing to be had, and yet it is read."""

    async def story(loop: VirtualLoop) -> tuple[object, int]:
        log = kafka(loop)
        session = Session(log, Alive(), 0)
        await session.open()
        await session.assign({})
        log.publish("lead.changes", 0, Entry(b"key", b"never", (), loop.ms), "aborted")
        return await session.poll(10), session.positions()["lead.changes"]

    assert run(story) == ([], 2)


# the group


class RecordingListener:
    """A listener that records a member's assignments and confirmations, with the time."""

    def __init__(self, loop: VirtualLoop) -> None:
        self.loop = loop
        self.owned: list[frozenset[int]] = []
        self.confirmations: list[int] = []

    def assigned(self, partitions: frozenset[int], asked_ms: int) -> None:
        self.owned.append(partitions)

    def confirmed(self, asked_ms: int) -> None:
        self.confirmations.append(asked_ms)

    def lost(self, reason: str) -> None: ...

    def positions(self) -> dict[tuple[str, int], int]:
        return {}


def join(loop: VirtualLoop, group: Group, process: Alive) -> RecordingListener:
    listener = RecordingListener(loop)
    context = copy_context()
    context.run(running.set, process)
    process.task = loop.create_task(member(group, process, GroupIntervals(), listener), context=context)
    return listener


def test_a_group_deals_evenly_and_moves_as_little_as_it_can() -> None:
    async def story(loop: VirtualLoop) -> list[list[frozenset[int]]]:
        group = Group(kafka(loop), range(4))
        first = join(loop, group, Alive("first"))
        await asyncio.sleep(5)
        second = join(loop, group, Alive("second"))
        await asyncio.sleep(15)
        return [first.owned, second.owned]

    first, second = run(story)

    assert [len(one) for one in first] == [4, 2]
    assert first[0] - first[1] == second[0]


def test_a_frozen_member_is_counted_out_hears_nothing_and_comes_back_without_what_it_had() -> None:
    """Its heartbeats stop for longer than a session; until it goes on, not a step of it is made."""

    async def story(loop: VirtualLoop) -> tuple[RecordingListener, RecordingListener, list[int]]:
        group, frozen = Group(kafka(loop), range(4)), Alive("frozen")
        first = join(loop, group, frozen)
        second = join(loop, group, Alive("second"))
        await asyncio.sleep(10)
        frozen.frozen = True
        await asyncio.sleep(30)
        kept = [len(first.owned), len(first.confirmations)]
        frozen.steps = 0
        await asyncio.sleep(1)
        kept.append(frozen.steps)
        loop.thaw(frozen)
        await asyncio.sleep(20)
        return first, second, kept

    first, second, kept = run(story)

    assert [len(one) for one in first.owned] == [2, 2]
    assert [len(one) for one in second.owned] == [2, 4, 2]
    assert kept == [1, 3, 0]


# HighLevel


def asked(server: Server, slot: int, *wanted: Question) -> tuple[int, object]:
    search = Search("location", wanted)
    permit = Permit("location", slot, server.loop.ms, server.loop.ms + 2_000)
    call = Call(permit, search, tuple(LeadQuestion("lead", question) for question in wanted))
    status, _, body = server.arrive(call, http_request(search), "worker")
    return status, body


def test_one_call_too_many_in_ten_seconds_is_refused() -> None:
    async def story(loop: VirtualLoop) -> list[int]:
        server = Server(loop, Random(1), Trace(loop), 10, {}, network=Network())
        statuses = [asked(server, slot, Question(QuestionKind.EMAIL, "a@example.com"))[0] for slot in range(11)]
        await asyncio.sleep(10)
        return [*statuses, asked(server, 11, Question(QuestionKind.EMAIL, "a@example.com"))[0]]

    assert run(story) == [200] * 10 + [429, 200]


def test_search_takes_any_of_the_values_and_lags_behind() -> None:
    people = [
        Contact("contact-1", "location", {"email": "A@example.com", "first_name": "Ann"}),
        Contact("contact-2", "location", {"phone": "+15550000000"}, indexed=5_000),
        Contact("contact-3", "elsewhere", {"email": "a@example.com"}),
    ]

    async def story(loop: VirtualLoop) -> list[list[str]]:
        server = Server(loop, Random(1), Trace(loop), 10, {person.id: person for person in people})
        wanted = Question(QuestionKind.EMAIL, "a@example.com"), Question(QuestionKind.PHONE, "+15550000000")
        found = []
        for slot in range(2):
            _, body = asked(server, slot, *wanted)
            found.append(sorted(one["id"] for one in body["contacts"]))  # type: ignore[index]  # JSON
            await asyncio.sleep(5)
        return found

    assert run(story) == [["contact-1"], ["contact-1", "contact-2"]]
