"""HighLevel at its worst, in many ways at once: throttled, hanging, broken, closed to our token, shared with others.

One worker plays all of it once, each fault in a location of its own; each test looks at its part.
"""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import pytest

from processor.shard.store import OutRecord
from tests.integration.canaries import made_up, places
from tests.integration.judge import data
from tests.integration.stage import HighLevel, Stage, Worker, stage, until
from tests.lab.demo.spent import Arrival
from tests.lab.demo.stage import ask
from tests.lab.kafka_node import Broker

pytestmark = pytest.mark.integration

within_s: Final = 90
partitions: Final = 4
probe_size: Final = 2  # so that there are groups, and calls enough to fail five times in a row
foreign, burst_limit = 60, 25  # calls in 10 s: of other programs, and of a test account
rate: Final = 90  # ours
rarely: Final = 0.05  # of the calls: without a look at the headers, a sixth is refused

told_to_wait: Final[Mapping[str, tuple[int, Mapping[str, Any]]]] = {
    "429, nothing": (10_000, {"times": 1, "retry_after": "none"}),
    "429, date": (4_000, {"times": 2, "retry_after": "date", "retry_after_s": 4}),
    "429, seconds": (1_000, {"times": 9, "retry_after": "seconds", "retry_after_s": 1}),
}
"""How long each 429 makes us wait, ms, and the fault. The last one is told more often than a lead may be tried."""
broken: Final[Mapping[str, Mapping[str, Any]]] = {
    **{kind: {"kind": kind} for kind in ("hang", "reset", "malformed", "endless", "truncated", "lost", "cloudflare")},
    "503": {"kind": "status", "status": 503},
}
closed: Final = ("expired", "revoked", "scope", "location", "missing")  # the reasons that `location.status` must give
neighbours: Final = ("first neighbour", "second neighbour", "third neighbour")
sizes: Final = {
    **dict.fromkeys(told_to_wait, 6),
    **dict.fromkeys(broken, 16),
    **dict.fromkeys(closed, 6),
    **dict.fromkeys(neighbours, 16),
    "slow": 6,
    "poisoned": 30,
    "shared": 160,
    "small": 110,
}
where: Final = dict(zip(sizes, places(len(sizes), partitions), strict=True))
who: Final = {
    kind: made_up(where[kind], size, 200 * number) for number, (kind, size) in enumerate(sizes.items())
}  # each costs a call, or half of one
poisoned: Final = who["poisoned"][17]
never: Final = {*closed} - {"expired"}  # cured
right: Final = [lead for kind in sizes for lead in who[kind] if kind not in never and lead is not poisoned]
requests: Final = ("poisoned", "closed")


@dataclass(frozen=True)
class Played:
    flaws: Sequence[str]
    arrivals: Mapping[str, Sequence[Arrival]]  # by location
    at_its_worst: Mapping[str, int]  # location → results while all of `broken` were unavailable
    statuses: Sequence[Mapping[str, Any]]
    results: Sequence[Mapping[str, Any]]
    answers: Sequence[Mapping[str, Any]]
    report: Mapping[str, Any]  # HighLevel's, by location

    def of(self, kind: str) -> list[Arrival]:
        return list(self.arrivals.get(where[kind], ()))

    def states(self, kind: str) -> list[tuple[str, str | None]]:
        """In order, with their reasons, each once until it changes."""
        told = [(one["state"], one["reason"]) for one in self.statuses if one["location_id"] == where[kind]]
        return [now for before, now in zip([None, *told], told, strict=False) if now != before]

    def outcomes(self, kind: str) -> dict[str, tuple[str, str | None]]:
        """Lead → outcome and reason of its last result."""
        found = [one for one in self.results if one["location_id"] == where[kind]]
        return {one["lead_id"]: (one["outcome"], one["reason"]) for one in found}

    def refused(self, kind: str) -> float:
        """The share of its calls that got a 429."""
        return sum(arrival.status == 429 for arrival in self.of(kind)) / len(self.of(kind))


@pytest.fixture(scope="module")
def played(broker: Broker, tmp_path_factory: pytest.TempPathFactory) -> Played:
    async def play() -> Played:
        folder = tmp_path_factory.mktemp("faults")
        async with stage(broker.bootstrap, f"test-{uuid4().hex[:12]}.", folder, partitions) as here:
            return await suffer(here)

    return asyncio.run(play())


async def suffer(here: Stage) -> Played:
    highlevel = here.highlevel(lead for leads in who.values() for lead in leads)
    ail(highlevel)
    tokens = here.folder / "tokens.toml"
    write(tokens, {kind: f"canary-old-{number}" for number, kind in enumerate(sizes)})
    worker = here.worker(
        "only",
        highlevel,
        HYDRANT_PROBE_SIZE=probe_size,
        GHL_REQUESTS_PER_10S=rate,
        GHL_TOKEN="",
        GHL_TOKENS_FILE=tokens,
    )
    await here.shared(worker)
    await here.publish(at_first())
    _, _, at_its_worst = await asyncio.gather(
        follow_up(here, worker), renew(here, tokens), cure(here, highlevel, [where[kind] for kind in broken])
    )
    await until(lambda: not left(here), within_s, lambda: f"left: {left(here)}, {here.last_words}")
    await here.answered((), requests)
    well = [where[kind] for kind in (*broken, "expired")]
    await until(lambda: {"ok"} == {state(here, each) for each in well}, within_s, lambda: f"{here.last_words}")
    flaws = await here.flaws(right, requests)
    return Played(
        [flaw for flaw in flaws if not flaw.endswith("calls were refused (429).")],  # that was the play
        highlevel.log(),
        at_its_worst,
        data(here.heard, "location.status", "location.status"),
        here.results,
        here.answers,
        highlevel.report()["locations"],
    )


def ail(highlevel: HighLevel) -> None:
    """From the start."""
    put(highlevel, tokens=[f"canary-old-{number}" for number in range(len(sizes))])
    for kind in closed:
        refusal = "expired" if kind == "missing" else kind
        put(highlevel, location=where[kind], tokens=["canary-new"], refusal=refusal)
    put(highlevel, location=where["shared"], foreign=foreign)
    put(highlevel, location=where["small"], limit=burst_limit)
    for kind, (_, fault) in told_to_wait.items():
        highlevel.fault(kind="status", status=429, location=where[kind], **fault)
    for kind, fault in broken.items():
        highlevel.fault(location=where[kind], **fault)
    highlevel.fault(kind="slow", delay_ms=3_000, location=where["slow"])
    highlevel.fault(kind="status", status=500, email=poisoned.person["email"], location=poisoned.location)


def at_first() -> list[OutRecord]:
    """Of those who will be told to wait a single lead: no other call is on its way then."""
    told = [lead.change() for kind, leads in who.items() for lead in (leads[:1] if kind in told_to_wait else leads)]
    return [*told, poisoned.sync("poisoned", deadline_s=30), who["scope"][0].sync("closed", deadline_s=8)]


async def follow_up(here: Stage, worker: Worker) -> None:
    """Once the worker has heard that a location must wait for the last time, there is more to ask: all of it waits."""
    for kind, (_, fault) in told_to_wait.items():
        await told(here, worker, where[kind], fault["times"])
        await here.publish([lead.change() for lead in who[kind][1:]])


async def told(here: Stage, worker: Worker, location: str, times: int) -> None:
    def is_so() -> bool:
        return [note["location"] for note in worker.notes("throttled")].count(location) >= times

    await until(is_so, within_s, lambda: f"{location} wasn't throttled {times} times: {here.last_words}")


async def renew(here: Stage, tokens: Path) -> None:
    """A new token comes once the old one was told to have expired."""
    await until(lambda: state(here, where["expired"]) == "unauthorized", within_s, lambda: f"{here.last_words}")
    fresh = {kind: f"canary-old-{number}" for number, kind in enumerate(sizes)}
    write(tokens, fresh | {"expired": "canary-new"})


async def cure(here: Stage, highlevel: HighLevel, ill: Collection[str]) -> dict[str, int]:
    """Once all of them are at their worst. How many results each location has by then."""
    await until(
        lambda: {"unavailable"} == {state(here, location) for location in ill},
        within_s,
        lambda: f"{[(kind, state(here, where[kind])) for kind in broken]}, {here.last_words}",
    )
    counts = {location: sum(one["location_id"] == location for one in here.results) for location in where.values()}
    for location in ill:
        ask(f"{highlevel.url}/_sandbox/faults?location={location}", "DELETE")
    return counts


def put(highlevel: HighLevel, **settings: object) -> None:
    ask(f"{highlevel.url}/_sandbox/settings", "PUT", settings)


def write(file: Path, tokens: Mapping[str, str]) -> None:
    """As a careful operator does: nobody sees half of it."""
    fresh = file.with_suffix(".new")
    fresh.write_text("".join(f'"{where[kind]}" = "{token}"\n' for kind, token in tokens.items() if kind != "missing"))
    fresh.replace(file)


def state(here: Stage, location: str) -> str | None:
    """What its last status says."""
    told = data(here.heard, "location.status", "location.status")
    return next((one["state"] for one in reversed(told) if one["location_id"] == location), None)


def left(here: Stage) -> dict[str, int]:
    """Leads that aren't found yet, by kind."""
    found = {(one["location_id"], one["lead_id"]) for one in here.results if one["outcome"] == "updated"}
    missing = [lead for lead in right if (lead.location, lead.id) not in found]
    counts = {kind: sum(lead.location == location for lead in missing) for kind, location in where.items()}
    return {kind: count for kind, count in counts.items() if count}


def test_everyone_who_can_be_helped_comes_out_right(played: Played) -> None:
    """Found and filled, once, at most 100 calls in 10 s, and nothing personal told, tokens included."""
    assert [] == played.flaws


@pytest.mark.parametrize("kind", told_to_wait)
def test_a_429_holds_the_whole_location_as_long_as_it_says(played: Played, kind: str) -> None:
    """Each refused call is followed by nothing for that long, though there is more to ask."""
    wait_ms, fault = told_to_wait[kind]
    calls = played.of(kind)
    refusals = [number for number, call in enumerate(calls) if call.status == 429]
    waited = [calls[number + 1].at - calls[number].at for number in refusals]

    assert list(range(fault["times"])) == refusals
    assert [] == [ms for ms in waited if ms < wait_ms]
    assert {"throttled", "ok"} == {name for name, _ in played.states(kind)}
    assert "ok" == played.states(kind)[-1][0]


@pytest.mark.parametrize("kind", broken)
def test_a_broken_location_is_told_unavailable_and_goes_on_by_itself(played: Played, kind: str) -> None:
    states = [name for name, _ in played.states(kind)]

    assert {"unavailable", "ok"} == set(states)
    assert "ok" == states[-1]


def test_a_slow_location_is_slow_and_nothing_else(played: Played) -> None:
    assert {"ok"} == {name for name, _ in played.states("slow")}


@pytest.mark.parametrize("kind", neighbours)
def test_neighbours_are_served_meanwhile(played: Played, kind: str) -> None:
    """All of their leads, before anything broken was cured."""
    assert sizes[kind] == played.at_its_worst[where[kind]]


@pytest.mark.parametrize("kind", closed)
def test_a_refused_token_is_told_with_its_reason(played: Played, kind: str) -> None:
    assert ("unauthorized", kind) in played.states(kind)


def test_a_new_token_in_the_file_is_all_it_takes(played: Played) -> None:
    states = played.states("expired")

    assert [("unauthorized", "expired"), ("ok", None)] == states[-2:]
    assert {("unauthorized", "expired"), ("ok", None)} == set(states)


@pytest.mark.parametrize("kind", sorted(never))
def test_a_location_whose_token_is_refused_is_left_alone(played: Played, kind: str) -> None:
    """No more calls than were on their way when the first refusal was heard, and a trial; without a token none at all."""
    calls = played.of(kind)

    assert (kind == "missing") == (not calls)
    assert len(calls) <= sizes[kind] // probe_size + 1
    assert ("unauthorized", kind) == played.states(kind)[-1]
    assert {("failed", "unauthorized")} >= set(played.outcomes(kind).values())


def test_a_request_is_told_that_the_token_is_refused(played: Played) -> None:
    assert [("failed", "unauthorized")] == [
        (one["outcome"], one["reason"]) for one in played.answers if one["request_id"] == "closed"
    ]


def test_a_poisoned_email_fails_alone(played: Played) -> None:
    """The others found their contacts, though each search with it among them failed."""
    outcomes = played.outcomes("poisoned")

    assert ("failed", "unavailable") == outcomes.pop(poisoned.id)
    assert {("updated", None)} == set(outcomes.values())
    assert sizes["poisoned"] - 1 == len(outcomes)


def test_a_budget_that_others_spend_too_is_shared(played: Played) -> None:
    """They make 60 of the 100 calls in 10 s; by what HighLevel says is left, we keep to the rest."""
    assert played.report[where["shared"]]["foreign"]["arrivals"] > foreign
    assert played.refused("shared") <= rarely


def test_a_lower_limit_is_seen_in_the_headers(played: Played) -> None:
    """A test account of 25, while we were told 90: no call is one too many."""
    assert (0, burst_limit) == (played.refused("small"), played.report[where["small"]]["worst_window"])
