"""One runner per owned partition: it opens the shard from its changelog, then turns until it is stopped or fenced.

Log first, then its cache, and only then may a call leave. The runner knows its ports alone, so the simulator runs
this very file.
"""

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

from processor.engine.dispatch import Dispatch
from processor.engine.inbox import Inbox, one_by_one
from processor.engine.ports import Api, Broken, Clock, Fenced, Log, OpenState
from processor.engine.telemetry import whereabouts
from processor.events.wire import Event, Malformed, request_ids
from processor.highlevel.calls import Answer, Refused
from processor.shard.hear import Input
from processor.shard.notes import Note
from processor.shard.setup import Setup
from processor.shard.state import Position, State
from processor.shard.turn import Effects, Shard
from processor.topics import INPUT_TOPICS

reopen_after_s: Final = (1.0, 2.0, 4.0, 8.0, 15.0)  # the broker is gone, or a turn fails for a reason of its own
tell_every_ms: Final = 1_000
passing: Final = {  # SQLite's codes for what a new file wouldn't mend
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_NOMEM,
}


@dataclass(frozen=True, slots=True)
class Ports:
    """The world outside, as one partition sees it."""

    log: Callable[[], Log]  # a new one for each opening
    api: Api
    clock: Clock
    open_state: OpenState
    note: Callable[[Note], None]


class Stepped(Exception):
    """The wall clock was stepped, and ours set by it: open anew, so that no stored time lies too far ahead."""


async def run(setup: Setup, ports: Ports, stop: asyncio.Event) -> Literal["stopped", "fenced"]:
    """Own the partition until `stop`, or until someone else has it."""
    arrived = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        waker = tasks.create_task(wake_on(stop, arrived), name=f"stop {setup.partition}")
        dispatch = Dispatch(ports.api, ports.clock, tasks, arrived.set)
        ended: Literal["stopped", "fenced"] = "stopped"
        failures = 0
        while not stop.is_set():
            since = ports.clock.now()
            try:
                await own(setup, ports, dispatch, arrived, stop)
            except Stepped:
                failures = 0
            except Fenced:
                ports.note(Note("fenced", {"partition": setup.partition}))
                ended = "fenced"
                break
            except Exception as error:
                why = str(error) if isinstance(error, Broken) else whereabouts(error)
                ports.note(Note("broken", {"partition": setup.partition, "why": why}))
                failures = 0 if ports.clock.now() - since > 60_000 else min(failures + 1, len(reopen_after_s))
                await pause(reopen_after_s[max(0, failures - 1)], stop)
        waker.cancel()
        dispatch.abandon()
    return ended


async def own(setup: Setup, ports: Ports, dispatch: Dispatch, arrived: asyncio.Event, stop: asyncio.Event) -> None:
    """Open the shard, and turn."""
    ports.note(Note("opening", {"partition": setup.partition}))
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
            ports.note(Note("alert", {"partition": setup.partition, "topic": topic, "why": why}))
        opened = {
            "partition": setup.partition,
            "state": file.origin,
            "rows": end - begin,
            "ms": ports.clock.now() - since,
        }
        ports.note(Note("opened", opened))
        inbox = Inbox(log, dispatch, ports.clock, arrived, stop)
        try:
            await turns(Shard(file.state, setup), ports, log, inbox, dispatch, settled, stop)
        finally:
            file.state.rollback()
            await inbox.close()
    except sqlite3.DatabaseError as error:
        if file is not None and is_of_the_file(error) and getattr(error, "sqlite_errorcode", 0) & 0xFF not in passing:
            file.discard()
            ports.note(Note("state_discarded", {"partition": setup.partition, "why": "SQLite can't work with it"}))
        raise
    finally:
        if file is not None:
            file.close()
        await log.close()
        ports.note(Note("closed", {"partition": setup.partition}))


async def restore(setup: Setup, ports: Ports, log: Log, state: State, end: int) -> None:
    """Bring the cache up to the changelog's end; nothing is heard or granted before."""
    rows, told = 0, ports.clock.now()
    async for slice_ in log.restore(state.position, end):
        state.restore(slice_.rows, slice_.position)
        rows += len(slice_.rows)
        if ports.clock.now() - told >= tell_every_ms or slice_.position >= end:
            told = ports.clock.now()
            said = {"partition": setup.partition, "rows": rows, "position": slice_.position, "end": end}
            ports.note(Note("restoring", said))
    state.restored(ports.clock.now())


def positions(state: State) -> dict[str, int]:
    """The state itself says what it has seen."""
    changes = state.begin()
    found = {topic: Position.of(changes, topic).offset for topic in INPUT_TOPICS}
    state.rollback()
    return {topic: offset for topic, offset in found.items() if offset}


async def turns(
    shard: Shard, ports: Ports, log: Log, inbox: Inbox, dispatch: Dispatch, settled: int, stop: asyncio.Event
) -> None:
    def granting(now: int) -> bool:
        return now >= settled and not stop.is_set()

    wake_at: int | None = ports.clock.now()
    while (inputs := await inbox.next(wake_at)) is not None:
        try:
            if ports.clock.settled_at() != settled:
                raise Stepped
            wake_at = await take(shard, ports, log, dispatch, inputs, granting)
        except Exception:  # all of them, also where they were taken one by one
            dispatch.put_back(one for one in inputs if isinstance(one, Answer))
            raise


async def take(
    shard: Shard,
    ports: Ports,
    log: Log,
    dispatch: Dispatch,
    inputs: Sequence[Input],
    granting: Callable[[int], bool],
    alone: bool = False,
) -> int | None:
    """One turn, committed. When it raises, its inputs are taken one by one, and the culprit is buried."""
    now = ports.clock.now()
    try:
        effects = shard.turn(now, inputs, granting(now))
    except Exception as error:
        if is_of_the_file(error):  # not of what came in
            raise
        ports.note(Note("turn_failed", {"partition": shard.setup.partition, "error": whereabouts(error)}))
        if not inputs:
            raise Broken("a turn fails without any input") from error
        if not alone:
            for one in one_by_one(inputs):
                wake_at = await take(shard, ports, log, dispatch, one, granting, alone=True)
            return wake_at
        effects = shard.turn(now, [culprit(inputs[0]), *inputs[1:]], granting(now))
    turned = ports.clock.now()
    await commit(shard, log, effects)
    for note in effects.notes:
        ports.note(note)
    for call in effects.calls:
        dispatch.send(call)
    for location, token in effects.watched:
        dispatch.look(location, token)
    said = {
        "partition": shard.setup.partition,
        "inputs": len(inputs),
        "records": len(effects.records),
        "rows": len(effects.rows),
    }
    spent = {"calls": len(effects.calls), "turn_ms": turned - now, "commit_ms": ports.clock.now() - turned}
    ports.note(Note("turn", said | spent))
    return effects.wake_at


async def commit(shard: Shard, log: Log, effects: Effects) -> None:
    """Kafka first, then its cache. A turn that changed projections only is the cache's alone."""
    if effects.records or effects.rows:
        shard.state.commit(await log.commit(effects.records, effects.rows))
    else:
        shard.state.commit(None)


def is_of_the_file(error: Exception) -> bool:
    """SQLite can't work with the file, whatever it is asked."""
    return isinstance(error, sqlite3.OperationalError) or type(error) is sqlite3.DatabaseError


def culprit(one: Input) -> Input:
    """An input that makes a turn raise, in a form that doesn't."""
    match one:
        case Event():
            return Malformed("internal_error", f"{one.type}: can't be processed", one.record, request_ids(one))
        case Answer():
            return replace(one, outcome=Refused(one.status or 0, "internal_error"))
    return one


async def wake_on(stop: asyncio.Event, arrived: asyncio.Event) -> None:
    await stop.wait()
    arrived.set()


async def pause(seconds: float, stop: asyncio.Event) -> None:
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        pass
