"""The turns of an open shard: inputs in, one committed turn after the other, calls out.

Log first, then its cache, and only then may a call leave.
"""

import asyncio
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, replace

from processor.engine.dispatch import Dispatch
from processor.engine.inbox import Inbox, one_by_one
from processor.engine.ports import Broken, Log, Ports
from processor.events.cloudevents import Event, Malformed, request_ids
from processor.highlevel.responses import Refused, Response
from processor.shard.inputs import Input
from processor.shard.turn import Effects, Shard
from processor.telemetry.catalogue import TurnCommitted, TurnFailed
from processor.telemetry.logs import whereabouts


class WallClockSet(Exception):
    """The wall clock was stepped, and ours set by it: open anew, so that no stored time lies too far ahead."""


@dataclass(slots=True)
class Lease:
    """A lease says how sure it is that the partition is ours."""

    confirmed_at: int  # ms, when the log last took a commit of ours


@dataclass(frozen=True, slots=True)
class TurnLoop:
    shard: Shard
    ports: Ports
    log: Log
    dispatch: Dispatch
    lease: Lease
    settled_at: int  # ms, nothing is granted before
    stop: asyncio.Event

    async def run(self, inbox: Inbox) -> None:
        """Turn until stopped and drained. Raises WallClockSet, Broken, Fenced, and what a turn can't be cured of."""
        wake_at: int | None = self.ports.clock.now()
        while (inputs := await inbox.next(wake_at)) is not None:
            try:
                if self.ports.clock.settled_at() != self.settled_at:
                    raise WallClockSet
                wake_at = await self.take(inputs)
            except Exception:  # all of them, also where they were taken one by one
                self.dispatch.requeue(one for one in inputs if isinstance(one, Response))
                raise

    async def take(self, inputs: Sequence[Input], alone: bool = False) -> int | None:
        """Do one turn, committed. When it raises, its inputs are taken one by one, and the culprit is quarantined."""
        shard, clock = self.shard, self.ports.clock
        now = clock.now()
        granting = now >= self.settled_at and not self.stop.is_set()
        try:
            effects = shard.turn(now, inputs, granting)
        except Exception as error:
            if is_of_the_file(error):  # no input is to blame
                raise
            self.ports.record(TurnFailed(partition=shard.setup.partition, error=whereabouts(error)))
            if not inputs:
                raise Broken("a turn fails without any input") from error
            if not alone:
                for one in one_by_one(inputs):
                    wake_at = await self.take(one, alone=True)
                return wake_at
            effects = shard.turn(now, [quarantined(inputs[0]), *inputs[1:]], granting)
        turned = clock.now()
        await self.commit(effects)
        self.act(effects)
        committed = TurnCommitted(
            partition=shard.setup.partition,
            inputs=len(inputs),
            records=len(effects.records),
            rows=len(effects.rows),
            calls=len(effects.calls),
            turn_ms=turned - now,
            commit_ms=clock.now() - turned,
        )
        self.ports.record(committed)
        return effects.wake_at

    async def commit(self, effects: Effects) -> None:
        """Commit to Kafka first, then to its cache. A turn that changed indexes only is the cache's alone."""
        if effects.records or effects.rows:
            self.shard.store.commit(await self.log.commit(effects.records, effects.rows))
            self.lease.confirmed_at = self.ports.clock.now()
        else:
            self.shard.store.commit(None)

    def act(self, effects: Effects) -> None:
        """Do what a committed turn wants done outside of the log: its calls leave."""
        for event in effects.telemetry:
            self.ports.record(event)
        self.dispatch.requeue(effects.rest_of_pages)
        for call in effects.calls:
            self.dispatch.send(call)
        for location, token in effects.refused_tokens:
            self.dispatch.watch_token(location, token)


def is_of_the_file(error: Exception) -> bool:
    """True if SQLite can't work with the file at all."""
    return isinstance(error, sqlite3.OperationalError) or type(error) is sqlite3.DatabaseError


def quarantined(one: Input) -> Input:
    """Return an input that makes a turn raise in a form that doesn't."""
    match one:
        case Event():
            return Malformed("internal_error", f"{one.type}: can't be processed", one.record, request_ids(one))
        case Response():
            return replace(one, outcome=Refused(one.status or 0, "internal_error"))
    return one
