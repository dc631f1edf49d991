"""One runner per owned partition: it opens the shard from its changelog, then turns until it is stopped or fenced.

Log first, then its cache, and only then may a call leave. The runner knows its ports alone, so the simulator runs
this very file.
"""

import asyncio
import sqlite3
from typing import Final, Literal

from processor.engine.dispatch import Dispatch
from processor.engine.inbox import Inbox
from processor.engine.ports import Broken, Fenced, Log, Ports, StateFile
from processor.engine.turn_loop import Lease, TurnLoop, WallClockSet, is_of_the_file
from processor.shard.documents.format import FORMAT
from processor.shard.documents.ledger import Position
from processor.shard.setup import Setup
from processor.shard.store import NewerFormat, Store
from processor.shard.turn import Shard
from processor.telemetry.catalogue import (
    InputPositionLost,
    PartitionBroken,
    PartitionClosed,
    PartitionFenced,
    PartitionOpened,
    PartitionOpening,
    PartitionRestoring,
    StateDiscarded,
)
from processor.telemetry.logs import whereabouts
from processor.topics import INPUT_TOPICS

reopen_after_s: Final = (1.0, 2.0, 4.0, 8.0, 15.0)  # the broker is gone, or a turn fails for a reason of its own
reopened_for_ms: Final = 60_000  # a shard that was open for longer reopens without delay again
restoring_every_ms: Final = 1_000
in_doubt_ms: Final = 10_000  # a session: without a commit for so long, the partition may have another owner
passing: Final = {  # SQLite's codes for what a new file wouldn't mend
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_NOMEM,
}


Ended = Literal["stopped", "fenced", "in doubt"]


async def run(setup: Setup, ports: Ports, stop: asyncio.Event) -> Ended:
    """Own the partition until `stop`, or until another worker has it or may have it."""
    arrived = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        waker = tasks.create_task(wake_on(stop, arrived), name=f"stop {setup.partition}")
        dispatch = Dispatch(ports.api, ports.clock, tasks, arrived.set)
        ended: Ended = "stopped"
        failures = 0
        lease = Lease(ports.clock.now())
        while not stop.is_set():
            since = ports.clock.now()
            try:
                await own(setup, ports, dispatch, lease, arrived, stop)
            except WallClockSet:
                failures = 0
            except Fenced:
                ports.record(PartitionFenced(partition=setup.partition))
                ended = "fenced"
                break
            except Exception as error:
                why = str(error) if isinstance(error, Broken | NewerFormat) else whereabouts(error)
                ports.record(PartitionBroken(partition=setup.partition, why=why))
                if ports.clock.now() - lease.confirmed_at > in_doubt_ms:
                    ended = "in doubt"
                    break
                long_open = ports.clock.now() - since > reopened_for_ms
                failures = 0 if long_open else min(failures + 1, len(reopen_after_s))
                await pause(reopen_after_s[max(0, failures - 1)], stop)
        waker.cancel()
        dispatch.cancel_all()
    return ended


async def own(
    setup: Setup, ports: Ports, dispatch: Dispatch, lease: Lease, arrived: asyncio.Event, stop: asyncio.Event
) -> None:
    """Open the shard, and turn until stopped. Raises what ends that."""
    ports.record(PartitionOpening(partition=setup.partition))
    settled_at, since = ports.clock.settled_at(), ports.clock.now()
    log = ports.log()
    file: StateFile | None = None
    try:
        await log.open()
        begin, end = await log.changelog()
        file = ports.open_state(log.identity, begin, end)
        await restore(setup, ports, log, file.store, end)
        await name_format(log, file.store)
        for topic, why in (await log.assign(positions(file.store, setup))).items():
            ports.record(InputPositionLost(partition=setup.partition, topic=topic, why=why))
        ms = ports.clock.now() - since
        ports.record(PartitionOpened(partition=setup.partition, state=file.origin, rows=end - begin, ms=ms))
        inbox = Inbox(log, dispatch, ports.clock, arrived, stop)
        try:
            await TurnLoop(Shard(file.store, setup), ports, log, dispatch, lease, settled_at, stop).run(inbox)
        finally:
            file.store.rollback()
            await inbox.close()
    except sqlite3.DatabaseError as error:
        if file is not None and is_of_the_file(error) and getattr(error, "sqlite_errorcode", 0) & 0xFF not in passing:
            file.discard()
            ports.record(StateDiscarded(partition=setup.partition, why="SQLite can't work with it"))
        raise
    finally:
        if file is not None:
            file.close()
        await log.close()
        ports.record(PartitionClosed(partition=setup.partition))


async def restore(setup: Setup, ports: Ports, log: Log, store: Store, end: int) -> None:
    """Bring the cache up to the changelog's end; nothing is ingested or granted before. Raises NewerFormat."""
    rows, reported_at = 0, ports.clock.now()
    async for restored in log.restore(store.position, end):
        store.restore(restored.rows, restored.position)
        rows += len(restored.rows)
        if ports.clock.now() - reported_at >= restoring_every_ms or restored.position >= end:
            reported_at = ports.clock.now()
            ports.record(PartitionRestoring(partition=setup.partition, rows=rows, position=restored.position, end=end))
    for _ in store.index_restored(ports.clock.now()):
        await asyncio.sleep(0)  # heartbeats and other shards share the loop


async def name_format(log: Log, store: Store) -> None:
    """Name this version's format in a changelog that names an older one: from now on it holds documents of both."""
    if store.format < FORMAT:
        row = ("format", str(FORMAT).encode())
        store.name_format(row, await log.commit([], [row]))


def positions(store: Store, setup: Setup) -> dict[str, int]:
    """Return how far each input topic was read; the state itself records it."""
    turn = store.begin(0, setup)
    found = {topic: Position.of(turn, topic).offset for topic in INPUT_TOPICS}
    store.rollback()
    return {topic: offset for topic, offset in found.items() if offset}


async def wake_on(stop: asyncio.Event, arrived: asyncio.Event) -> None:
    await stop.wait()
    arrived.set()


async def pause(seconds: float, stop: asyncio.Event) -> None:
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        pass
