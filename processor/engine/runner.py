"""One runner per owned partition: it opens the shard from its changelog, then turns until it is stopped or fenced.

Log first, then its cache, and only then may a call leave. The runner knows its ports alone, so the simulator runs
this very file.
"""

import asyncio
import sqlite3
from typing import Final, Literal

from processor.engine.dispatch import Dispatch
from processor.engine.inbox import Inbox
from processor.engine.ports import Broken, Fenced, Log, Ports
from processor.engine.turn_loop import Stepped, Tenure, Turning, is_of_the_file
from processor.shard.setup import Setup
from processor.shard.state import Position, State
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
tell_every_ms: Final = 1_000
in_doubt_ms: Final = 10_000  # a session: without a commit for so long, we may have been away, and someone else here
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
    """Own the partition until `stop`, or until someone else has it or may have it."""
    arrived = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        waker = tasks.create_task(wake_on(stop, arrived), name=f"stop {setup.partition}")
        dispatch = Dispatch(ports.api, ports.clock, tasks, arrived.set)
        ended: Ended = "stopped"
        failures = 0
        tenure = Tenure(ports.clock.now())
        while not stop.is_set():
            since = ports.clock.now()
            try:
                await own(setup, ports, dispatch, tenure, arrived, stop)
            except Stepped:
                failures = 0
            except Fenced:
                ports.note(PartitionFenced(setup.partition))
                ended = "fenced"
                break
            except Exception as error:
                why = str(error) if isinstance(error, Broken) else whereabouts(error)
                ports.note(PartitionBroken(setup.partition, why))
                if ports.clock.now() - tenure.proved > in_doubt_ms:
                    ended = "in doubt"
                    break
                failures = 0 if ports.clock.now() - since > 60_000 else min(failures + 1, len(reopen_after_s))
                await pause(reopen_after_s[max(0, failures - 1)], stop)
        waker.cancel()
        dispatch.abandon()
    return ended


async def own(
    setup: Setup, ports: Ports, dispatch: Dispatch, tenure: Tenure, arrived: asyncio.Event, stop: asyncio.Event
) -> None:
    """Open the shard, and turn."""
    ports.note(PartitionOpening(setup.partition))
    settled = ports.clock.settled_at()
    since = ports.clock.now()
    log = ports.log()
    file = None
    try:
        await log.open()
        begin, end = await log.changelog()
        file = ports.open_state(log.identity, begin, end)
        await restore(setup, ports, log, file.state, end)
        alerts = await log.assign(positions(file.state))
        for topic, why in alerts.items():
            ports.note(InputPositionLost(setup.partition, topic, why))
        ports.note(PartitionOpened(setup.partition, file.origin, rows=end - begin, ms=ports.clock.now() - since))
        inbox = Inbox(log, dispatch, ports.clock, arrived, stop)
        try:
            await Turning(Shard(file.state, setup), ports, log, dispatch, tenure, settled, stop).run(inbox)
        finally:
            file.state.rollback()
            await inbox.close()
    except sqlite3.DatabaseError as error:
        if file is not None and is_of_the_file(error) and getattr(error, "sqlite_errorcode", 0) & 0xFF not in passing:
            file.discard()
            ports.note(StateDiscarded(setup.partition, "SQLite can't work with it"))
        raise
    finally:
        if file is not None:
            file.close()
        await log.close()
        ports.note(PartitionClosed(setup.partition))


async def restore(setup: Setup, ports: Ports, log: Log, state: State, end: int) -> None:
    """Bring the cache up to the changelog's end; nothing is heard or granted before."""
    rows, told = 0, ports.clock.now()
    async for slice_ in log.restore(state.position, end):
        state.restore(slice_.rows, slice_.position)
        rows += len(slice_.rows)
        if ports.clock.now() - told >= tell_every_ms or slice_.position >= end:
            told = ports.clock.now()
            ports.note(PartitionRestoring(setup.partition, rows, slice_.position, end))
    state.restored(ports.clock.now())


def positions(state: State) -> dict[str, int]:
    """The state itself says what it has seen."""
    changes = state.begin()
    found = {topic: Position.of(changes, topic).offset for topic in INPUT_TOPICS}
    state.rollback()
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
