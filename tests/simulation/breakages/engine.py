"""Breakages of the engine: commits, fences, the clock, dispatching and reading."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any
from weakref import WeakKeyDictionary

import pytest

from processor.engine import clock, inbox, runner, supervisor
from processor.engine.dispatch import Dispatch
from processor.engine.ports import Fenced, Log, Ports
from processor.engine.supervisor import Owner
from processor.engine.turn_loop import TurnLoop
from processor.highlevel.requests import Call, CallRequest, HttpRequest, http_request
from processor.highlevel.responses import Response
from processor.ratelimit.budget import Permit
from processor.shard.setup import Setup
from processor.shard.store import Store
from processor.shard.turn import Effects
from tests.simulation.world import highlevel
from tests.simulation.world.broker import Kafka
from tests.simulation.world.log import Session
from tests.simulation.world.state_disk import MortalState

Patch = pytest.MonkeyPatch


def ledger_not_handed_over(patch: Patch) -> None:
    """Each worker spends the budget on its own."""
    produce = Session._produce

    def forgetful(self: Session, records: Any, rows: Sequence[tuple[str, bytes | None]]) -> int:
        return produce(self, records, [row for row in rows if not row[0].startswith("budget ")])

    patch.setattr(Session, "_produce", forgetful)


def slot_journalled_after_the_call(patch: Patch) -> None:
    """A call leaves, and then its slot is committed."""
    commit = TurnLoop.commit
    dispatches: list[Dispatch] = []

    class Hasty(Dispatch):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args)
            self.sent: set[Permit] = set()
            dispatches.append(self)

        def send(self, call: Call) -> None:
            if call.permit not in self.sent:
                self.sent.add(call.permit)
                super().send(call)

    async def late(self: TurnLoop, effects: Effects) -> None:
        for call in effects.calls:
            dispatches[-1].send(call)
        await commit(self, effects)

    patch.setattr(runner, "Dispatch", Hasty)
    patch.setattr(TurnLoop, "commit", late)


def sqlite_committed_before_kafka(patch: Patch) -> None:
    """The cache knows more than the log."""

    async def commit(self: TurnLoop, effects: Effects) -> None:
        store = self.shard.store
        store.commit(None)
        if effects.records or effects.rows:
            position = await self.log.commit(effects.records, effects.rows)
            store.begin(0, self.shard.setup)
            store.commit(position)

    patch.setattr(TurnLoop, "commit", commit)


def fenced_shards_reopened_at_once(patch: Patch) -> None:
    """A fenced worker reopens without asking whether the partition is still its own."""

    async def keep(owner: Owner, run: Callable[..., Any], partition: int, stop: asyncio.Event) -> None:
        while await run(partition, stop) != "stopped" and not stop.is_set():
            pass

    patch.setattr(supervisor, "keep_running", keep)


def fence_ignored(patch: Patch) -> None:
    """A worker that has lost the partition goes on, as if its turns had been committed."""
    commit = TurnLoop.commit

    async def deaf(self: TurnLoop, effects: Effects) -> None:
        try:
            await commit(self, effects)
        except Fenced:
            self.shard.store.commit(None)

    patch.setattr(TurnLoop, "commit", deaf)


def new_tokens_overlooked(patch: Patch) -> None:
    """A location whose token was refused waits for its trial, though there is another token."""
    patch.setattr(Dispatch, "watch_token", lambda self, location, token: None)


def stepped_clock_trusted_at_once(patch: Patch) -> None:
    """The clock was set, and old slots are judged by it."""
    patch.setattr(clock, "unsettled_ms", 0)


def raw_wall_clock(patch: Patch) -> None:
    """Now is what the wall clock shows, though it is set meanwhile."""
    patch.setattr(clock.WallClock, "now", lambda self: self._wall_ns() // 1_000_000)
    patch.setattr(clock.WallClock, "settled_at", lambda self: 0)


def positions_from_group_offsets(patch: Patch) -> None:
    """Records count as done once they were fetched, even if their turn failed."""
    offsets: WeakKeyDictionary[Kafka, dict[int, dict[str, int]]] = WeakKeyDictionary()
    take = Session._take

    def committed(self: Session, limit: int) -> Any:
        records = take(self, limit)
        offsets.setdefault(self.kafka, {})[self.partition] = dict(self.at)
        return records

    def positions(store: Store, setup: Setup) -> dict[str, int]:
        assert isinstance(store, MortalState)
        return offsets.get(store.worker.kafka, {}).get(store.partition, {})

    patch.setattr(Session, "_take", committed)
    patch.setattr(runner, "positions", positions)


def failed_batch_ignored(patch: Patch) -> None:
    """A transaction commits though one of its batches was refused."""

    async def ignored(self: Session) -> None: ...

    patch.setattr(Session, "_batch_failed", ignored)


def stale_state_accepted(patch: Patch) -> None:
    """A state file that is there is taken for the newest."""
    restore = runner.restore

    async def trusting(setup: Setup, ports: Ports, log: Log, store: Store, end: int) -> None:
        await restore(setup, ports, log, store, store.position or end)

    patch.setattr(runner, "restore", trusting)


def one_pool_for_all_locations(patch: Patch) -> None:
    """All locations share 20 connections."""
    pools: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = WeakKeyDictionary()
    respond = Dispatch._respond

    async def pooled(self: Dispatch, call: Call) -> Response:
        async with pools.setdefault(asyncio.get_running_loop(), asyncio.Semaphore(20)):
            return await respond(self, call)

    patch.setattr(Dispatch, "_respond", pooled)


def whole_log_in_a_turn(patch: Patch) -> None:
    patch.setattr(inbox, "records_at_most", 10**9)


def contacts_written_where_they_are_read(patch: Patch) -> None:
    def written(request: CallRequest) -> HttpRequest:
        asked = http_request(request)
        return (
            HttpRequest("POST", asked.path, asked.version, asked.body, asked.query) if asked.method == "GET" else asked
        )

    patch.setattr(highlevel, "http_request", written)
