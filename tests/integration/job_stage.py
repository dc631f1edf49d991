"""What tests of jobs do on a `Stage`: tell of towns, ask, wait until something was called or told, and judge."""

import asyncio
import time
from collections.abc import Sequence
from typing import Final

from processor.events.cloudevents import Record
from tests.integration.jobs import course, missed, uneven
from tests.integration.residents import Town
from tests.integration.stage import HighLevel, Stage, Worker, until
from tests.lab.demo.spent import Arrival
from tests.lab.demo.stage import ask

within_s: Final = 60
step_s: Final = 0.03


def named(here: Stage, highlevel: HighLevel, **settings: object) -> Worker:
    """A worker that is a member by name: its successor, once it was killed, is back at once."""
    return here.worker("only", highlevel, KAFKA_GROUP_INSTANCE_ID="only", HYDRANT_PROBE_SIZE=50, **settings)


async def tell_of(here: Stage, *towns: Town) -> None:
    """Their leads are there, and nothing is asked about them."""
    await here.publish([lead.change(loading=True) for town in towns for lead in town.leads])


def calls(highlevel: HighLevel, location: str, kind: str | None = None) -> list[Arrival]:
    return [call for call in highlevel.log().get(location, ()) if kind in (None, call.kind)]


async def until_called(highlevel: HighLevel, location: str, times: int, kind: str | None = None) -> None:
    def are() -> bool:
        return len(calls(highlevel, location, kind)) >= times

    await until(are, within_s, lambda: f"{calls(highlevel, location)}")


async def until_told(here: Stage, request: str, kind: str, times: int = 1) -> None:
    """Of a job: `paused`, `completed`, …"""

    def is_so() -> bool:
        return [one for one, _ in course(here.heard, request)].count(kind) >= times

    await until(is_so, within_s, lambda: f"{course(here.heard, request)[-1:]}, {here.last_words}")


async def creep(worker: Worker, here: Stage, results: int) -> None:
    """Let it go on by small steps until there are so many: it stands still then, not far past that moment."""
    deadline = time.monotonic() + within_s
    while len(here.results) < results:
        if time.monotonic() > deadline:
            raise AssertionError(f"{len(here.results)} of {results} results within {within_s} s")
        worker.go_on()
        await asyncio.sleep(step_s)
        worker.stand_still()
        await asyncio.sleep(3 * step_s)  # what it committed is heard


def put(highlevel: HighLevel, **settings: object) -> None:
    """A row of `processor.sandbox.settings`."""
    ask(f"{highlevel.url}/_sandbox/settings", "PUT", settings)


def wrong_with(told: Sequence[Record], town: Town, request: str) -> list[str]:
    """With a Sync All of it."""
    return [*uneven(course(told, request), town.leads), *missed(told, town.leads, request)]
