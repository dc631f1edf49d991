"""The simulated world itself is honest: time, the log and HighLevel behave as the real ones do."""

import asyncio
from collections.abc import Awaitable, Callable
from random import Random

import pytest

from processor.engine.ports import Fenced
from processor.highlevel.budget import Permit
from processor.highlevel.calls import Ask, By, Call, Search, request
from processor.shard.state import Out

from .broker import Entry, Faults, Kafka
from .highlevel import Network, Server
from .log import Session
from .loop import Stuck, VirtualLoop, start_ms
from .tale import Person
from .trace import Trace


class Alive:
    name, dead, frozen, lands, deciding = "worker", False, False, True, 0

    def __init__(self) -> None:
        self.aside: list[asyncio.Handle] = []

    def step(self) -> None: ...
    def die_here(self) -> None: ...


def run(story: Callable[[VirtualLoop], Awaitable[object]]) -> object:
    loop = VirtualLoop()
    try:
        return loop.run_until_complete(story(loop))
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


def test_who_waits_for_what_never_comes_is_told() -> None:
    async def story(loop: VirtualLoop) -> None:
        await loop.create_future()

    with pytest.raises(Stuck, match="dead-lock"):
        run(story)


def test_who_never_waits_is_told() -> None:
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
        session._produce([Out("lead.updates", b"key", b"result")], [])
        log.publish("lead.updates", 0, Entry(b"key", b"someone else's", (), loop.ms), None)
        before = [offset for offset, _ in log.committed("lead.updates", 0)]
        session._end([], [])
        return before, [offset for offset, _ in log.committed("lead.updates", 0)], log.stable_end("lead.updates", 0)

    assert run(story) == ([], [0, 1], 3)


def test_whoever_opens_last_fences_the_others_and_ends_their_transaction() -> None:
    async def story(loop: VirtualLoop) -> list[tuple[int, Entry]]:
        log = kafka(loop)
        former, latter = Session(log, Alive(), 0), Session(log, Alive(), 0)
        await former.open()
        former._produce([Out("lead.updates", b"key", b"former")], [("key", b"row")])
        await latter.open()
        with pytest.raises(Fenced):
            await former.commit([], [("key", b"row")])
        await latter.commit([Out("lead.updates", b"key", b"latter")], [])
        return log.committed("lead.updates", 0)

    assert [entry.value for _, entry in run(story)] == [b"latter"]  # type: ignore[attr-defined]  # what the story returns


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


# HighLevel


def asked(server: Server, slot: int, *wanted: tuple[By, str]) -> tuple[int, object]:
    what = Search("location", wanted)
    permit = Permit("location", slot, server.loop.ms, server.loop.ms + 2_000)
    call = Call(permit, what, tuple(Ask("lead", by, value) for by, value in wanted))
    status, _, body = server.arrive(call, request(what), "worker")
    return status, body


def test_one_call_too_many_in_ten_seconds_is_refused() -> None:
    async def story(loop: VirtualLoop) -> list[int]:
        server = Server(loop, Random(1), Trace(loop), 10, {}, network=Network())
        said = [asked(server, slot, ("email", "a@example.com"))[0] for slot in range(11)]
        await asyncio.sleep(10)
        return [*said, asked(server, 11, ("email", "a@example.com"))[0]]

    assert run(story) == [200] * 10 + [429, 200]


def test_search_takes_any_of_the_values_and_lags_behind() -> None:
    people = [
        Person("contact-1", "location", {"email": "A@example.com", "first_name": "Ann"}),
        Person("contact-2", "location", {"phone": "+15550000000"}, indexed=5_000),
        Person("contact-3", "elsewhere", {"email": "a@example.com"}),
    ]

    async def story(loop: VirtualLoop) -> list[list[str]]:
        server = Server(loop, Random(1), Trace(loop), 10, {person.id: person for person in people})
        wanted: tuple[tuple[By, str], ...] = (("email", "a@example.com"), ("phone", "+15550000000"))
        found = []
        for slot in range(2):
            _, body = asked(server, slot, *wanted)
            found.append(sorted(one["id"] for one in body["contacts"]))  # type: ignore[index]  # JSON
            await asyncio.sleep(5)
        return found

    assert run(story) == [["contact-1"], ["contact-1", "contact-2"]]
