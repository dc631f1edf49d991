"""The runner when its file, its clock or a turn fails. On virtual time, with whole worlds: `tests/simulation`."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import orjson
import pytest

from processor.engine.ports import Ports, Restored
from processor.engine.runner import run
from processor.events.cloudevents import Record
from processor.highlevel.requests import Call
from processor.highlevel.responses import Found, Response
from processor.shard import ingest_responses, turn
from processor.shard.ingest import ingest
from processor.shard.setup import Setup
from processor.shard.store import OutRecord, Store, UnitOfWork
from processor.telemetry.catalogue import TelemetryEvent

start = 1_700_000_000_000


@dataclass
class Kafka:
    """The part of the log that outlives an opening."""

    records: list[Record] = field(default_factory=list)
    rows: list[tuple[str, bytes | None]] = field(default_factory=list)
    published: list[OutRecord] = field(default_factory=list)
    opened: int = 0

    def publish(self, kind: str, lead: str, **data: Any) -> None:
        data = {
            "location_id": "location-1",
            "lead_id": lead,
            "revision": 1,
            "created_at": "2020-01-01T00:00:00Z",
            **data,
        }
        event = {"specversion": "1.0", "id": f"event {lead}", "source": "test", "type": kind, "data": data}
        value = orjson.dumps(event)
        self.records.append(Record("lead.changes", 0, len(self.records), start, b"location-1", value, ()))

    def published_to(self, topic: str) -> list[str]:
        return [out.key.decode() for out in self.published if out.topic == topic]


class Log:
    """One opening of it."""

    identity = "test"

    def __init__(self, kafka: Kafka) -> None:
        self.kafka, self.at = kafka, 0

    async def open(self) -> None:
        self.kafka.opened += 1

    async def changelog(self) -> tuple[int, int]:
        return 0, len(self.kafka.rows)

    async def restore(self, start: int, end: int) -> AsyncIterator[Restored]:
        yield Restored(self.kafka.rows[start:end], end, end)

    async def assign(self, positions: Mapping[str, int]) -> Mapping[str, str]:
        self.at = positions.get("lead.changes", 0)
        return {}

    async def poll(self, limit: int) -> Sequence[Record]:
        while not (found := self.kafka.records[self.at :]):  # noqa: ASYNC110  # a step of the loop takes no time
            await asyncio.sleep(0)
        self.at = len(self.kafka.records)
        return found

    def positions(self) -> Mapping[str, int]:
        return {"lead.changes": self.at}

    async def changes_end(self) -> int:
        return len(self.kafka.records)

    async def commit(self, records: Sequence[OutRecord], rows: Sequence[tuple[str, bytes | None]]) -> int:
        self.kafka.published += records
        self.kafka.rows += rows
        return len(self.kafka.rows)

    async def close(self) -> None: ...


@dataclass
class Clock:
    ms: int = start
    trusted_at: int = 0

    def now(self) -> int:
        self.ms += 10
        return self.ms

    def settled_at(self) -> int:
        return self.trusted_at


@dataclass
class Files:
    """State files in memory; a discarded one is gone."""

    made: int = 0
    kept: sqlite3.Connection | None = None

    def __call__(self, identity: str, begin: int, end: int) -> "File":
        if self.kept is None:
            self.kept, self.made = sqlite3.connect(":memory:"), self.made + 1
        return File(Store(self.kept), self)


@dataclass
class File:
    store: Store
    files: Files
    origin: str = "kept"

    def close(self) -> None: ...

    def discard(self) -> None:
        self.files.kept = None


@dataclass
class World:
    kafka: Kafka = field(default_factory=Kafka)
    clock: Clock = field(default_factory=Clock)
    files: Files = field(default_factory=Files)
    events: list[TelemetryEvent] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)

    async def call(self, call: Call) -> Response:
        self.calls.append(call)
        return Response(call, Found((), 0), 200, None, None)

    def fingerprint(self, location: str) -> str | None:
        return None

    async def until(self, reached: Callable[[], bool]) -> None:
        """Run one partition until this is so, then stop it."""
        stop = asyncio.Event()
        ports = Ports(lambda: Log(self.kafka), self, self.clock, self.files, self.events.append)
        running = asyncio.create_task(run(Setup(0, 1, "worker"), ports, stop))
        async with asyncio.timeout(20):
            while not reached() and not running.done():  # noqa: ASYNC110  # likewise
                await asyncio.sleep(0)
        stop.set()
        await running

    def recorded(self, name: str) -> list[Mapping[str, object]]:
        return [asdict(event) for event in self.events if event.name == name]


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr("processor.engine.runner.reopen_after_s", (0.0,))
    return World()


def failing(real: Callable[..., Any], error: Exception, fails: Callable[..., bool]) -> Callable[..., Any]:
    def wrapped(*arguments: Any, **named: Any) -> Any:
        if fails(*arguments, **named):
            raise error
        return real(*arguments, **named)

    return wrapped


async def test_a_file_found_malformed_is_made_anew_and_nothing_is_dead_lettered(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite raises in the midst of a turn: the file is at fault, not the event."""
    error = sqlite3.DatabaseError("database disk image is malformed")
    monkeypatch.setattr(
        UnitOfWork,
        "stored",
        failing(UnitOfWork.stored, error, lambda _, key: key.startswith("lead ") and world.files.made == 1),
    )
    world.kafka.publish("lead.changed", "lead-1", email="jane1@example.com")
    await world.until(lambda: bool(world.kafka.published_to("lead.updates")))

    assert (2, 2, []) == (world.files.made, world.kafka.opened, world.kafka.published_to("dead.letters"))
    assert ["location-1"] == world.kafka.published_to("lead.updates")


async def test_a_full_disk_throws_no_good_file_away(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    once = iter([True])
    error = sqlite3.OperationalError("database or disk is full")
    error.sqlite_errorcode = sqlite3.SQLITE_FULL
    monkeypatch.setattr(Store, "commit", failing(Store.commit, error, lambda *_: next(once, False)))
    world.kafka.publish("lead.changed", "lead-1", email="jane1@example.com")
    await world.until(lambda: bool(world.kafka.published_to("lead.updates")))

    assert (1, 2) == (world.files.made, world.kafka.opened)


async def test_an_event_that_makes_turns_raise_is_dead_lettered_alone(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others that came with it are ingested."""
    fails = failing(
        ingest, RuntimeError("a fault of ours"), lambda _, inputs: any(is_faulty_input(one) for one in inputs)
    )
    monkeypatch.setattr(turn, "ingest", fails)
    for lead in ("lead-1", "culprit", "lead-2"):
        world.kafka.publish("lead.changed", lead, email=f"{lead}@example.com")
    await world.until(lambda: len(world.kafka.published_to("lead.updates")) == 2)

    (letter,) = [out for out in world.kafka.published if out.topic == "dead.letters"]
    assert b"internal_error" == dict(letter.headers)["hydrant-reason"]
    assert letter.value == world.kafka.records[1].value
    assert 1 == world.kafka.opened


async def test_a_request_that_makes_turns_raise_is_dead_lettered_and_answered(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    fails = failing(
        ingest, RuntimeError("a fault of ours"), lambda _, inputs: any(is_faulty_input(one) for one in inputs)
    )
    monkeypatch.setattr(turn, "ingest", fails)
    world.kafka.publish("sync.lead.requested", "culprit", request_id="request-1")
    await world.until(lambda: bool(world.kafka.published_to("sync.progress")))

    (result,) = [orjson.loads(out.value or b"")["data"] for out in world.kafka.published if out.topic == "lead.updates"]
    assert ("failed", "internal_error") == (result["outcome"], result["reason"])
    assert ["request-1"] == [cause["request_id"] for cause in result["causes"]]
    assert 1 == len(world.kafka.published_to("dead.letters"))


async def test_a_response_that_makes_turns_raise_ends_its_leads_work(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both leads of the search get that result; nothing is asked again and again."""
    fails = failing(ingest_responses.add_contacts, RuntimeError("a fault of ours"), lambda *_: True)
    monkeypatch.setattr(ingest_responses, "add_contacts", fails)
    for lead in ("lead-1", "lead-2"):
        world.kafka.publish("lead.changed", lead, email="jane@example.com")
    await world.until(lambda: len(world.kafka.published_to("lead.updates")) == 2)

    results = [orjson.loads(out.value or b"")["data"] for out in world.kafka.published if out.topic == "lead.updates"]
    assert {("failed", "internal_error")} == {(result["outcome"], result["reason"]) for result in results}
    assert (1, 1) == (len(world.calls), world.kafka.opened)


def is_faulty_input(one: object) -> bool:
    data = getattr(one, "data", None)
    return getattr(data, "lead_id", None) == "culprit"


async def test_after_a_step_of_the_clock_the_shard_opens_anew_and_grants_nothing_for_a_while(world: World) -> None:
    """It goes on ingesting: lead-1 comes in meanwhile, and is asked about once the clock is trusted again."""
    world.clock.trusted_at = trusted_at = world.clock.ms + 25_000
    world.kafka.publish("lead.changed", "lead-1", email="jane1@example.com")
    await world.until(lambda: "lead location-1 lead-1" in dict(world.kafka.rows))
    assert (1, []) == (world.kafka.opened, world.calls)

    def step() -> bool:
        if world.kafka.opened == 2 and world.clock.trusted_at == trusted_at:
            world.clock.trusted_at += 1
            world.kafka.publish("lead.changed", "lead-2", email="jane2@example.com")
        if world.kafka.opened == 3 and world.clock.ms < trusted_at:
            assert world.calls == []
            world.clock.ms = trusted_at
            world.kafka.publish("lead.changed", "lead-3", email="jane3@example.com")
        return len(world.kafka.published_to("lead.updates")) == 3

    await world.until(step)
    assert 3 == world.kafka.opened
    assert all(call.permit.granted > trusted_at for call in world.calls)


async def test_a_broken_shard_logs_the_reason_without_values(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    once = iter([True])
    error = sqlite3.OperationalError("unable to open jane@example.com")
    monkeypatch.setattr(Store, "index_restored", failing(Store.index_restored, error, lambda *_: next(once, False)))
    world.kafka.publish("lead.changed", "lead-1", email="jane1@example.com")
    await world.until(lambda: bool(world.kafka.published_to("lead.updates")))

    (broken,) = world.recorded("broken")
    assert "OperationalError" in str(broken["why"])
    assert "jane" not in str(broken["why"])


async def test_an_older_changelog_is_named_with_the_format_that_is_written_from_now_on(world: World) -> None:
    world.kafka.rows = [("identity", b"0123abcd"), ("position lead.changes", b"0")]
    world.kafka.publish("lead.changed", "lead-1", email="jane1@example.com")
    await world.until(lambda: bool(world.kafka.published_to("lead.updates")))

    assert [row for row in world.kafka.rows if row[0] == "format"] == [("format", b"2")]


async def test_a_newer_changelog_is_not_opened_and_the_log_says_why(world: World) -> None:
    world.kafka.rows = [("identity", b"0123abcd 3")]
    await world.until(lambda: len(world.recorded("broken")) > 1)

    assert "the changelog has format 3, this version reads up to 2" == world.recorded("broken")[0]["why"]
    assert [("identity", b"0123abcd 3")] == world.kafka.rows
