"""Test a HighLevel that throttles, hangs, breaks, refuses our token and has other clients, all at once.

One worker meets all faults once, each in a location of its own; each test looks at its part.
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
from tests.integration.trial import Trial, trial
from tests.lab.harness.calls import Arrival
from tests.lab.harness.process import wait_until
from tests.lab.harness.sandbox import SandboxProcess
from tests.lab.harness.worker import WorkerProcess
from tests.lab.kafka_node import Broker

pytestmark = pytest.mark.integration

within_s: Final = 90
partitions: Final = 4
probe_size: Final = 2  # so that there are groups, and calls enough to fail five times in a row
foreign, burst_limit = 60, 25  # calls in 10 s: of other programs, and of a test account
rate: Final = 90  # ours
rarely: Final = 0.05  # of the calls: without a look at the headers, a sixth is refused

throttling: Final[Mapping[str, tuple[int, Mapping[str, Any]]]] = {
    "429, nothing": (10_000, {"times": 1, "retry_after": "none"}),
    "429, date": (4_000, {"times": 2, "retry_after": "date", "retry_after_s": 4}),
    "429, seconds": (1_000, {"times": 9, "retry_after": "seconds", "retry_after_s": 1}),
}
"""Each 429 makes us wait for so many ms, and is served by this fault. The last one occurs more often than a lead may be tried."""
broken: Final[Mapping[str, Mapping[str, Any]]] = {
    **{kind: {"kind": kind} for kind in ("hang", "reset", "malformed", "endless", "truncated", "lost", "cloudflare")},
    "503": {"kind": "status", "status": 503},
}
closed: Final = ("expired", "revoked", "scope", "location", "missing")  # the reasons that `location.status` must give
neighbours: Final = ("first neighbour", "second neighbour", "third neighbour")
sizes: Final = {
    **dict.fromkeys(throttling, 6),
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
class Observed:
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
        """Return state and reason in order, each once until it changes."""
        pairs = [(one["state"], one["reason"]) for one in self.statuses if one["location_id"] == where[kind]]
        return [now for before, now in zip([None, *pairs], pairs, strict=False) if now != before]

    def outcomes(self, kind: str) -> dict[str, tuple[str, str | None]]:
        """Return outcome and reason of each lead's last result."""
        found = [one for one in self.results if one["location_id"] == where[kind]]
        return {one["lead_id"]: (one["outcome"], one["reason"]) for one in found}

    def refused(self, kind: str) -> float:
        """Return the share of its calls that got a 429."""
        return sum(arrival.status == 429 for arrival in self.of(kind)) / len(self.of(kind))


@pytest.fixture(scope="module")
def observed(broker: Broker, tmp_path_factory: pytest.TempPathFactory) -> Observed:
    async def play() -> Observed:
        folder = tmp_path_factory.mktemp("faults")
        async with trial(broker.bootstrap, f"test-{uuid4().hex[:12]}.", folder, partitions) as here:
            return await run_all(here)

    return asyncio.run(play())


async def run_all(here: Trial) -> Observed:
    highlevel = here.start_highlevel(lead for leads in who.values() for lead in leads)
    add_faults(highlevel)
    tokens = here.folder / "tokens.toml"
    write(tokens, {kind: f"canary-old-{number}" for number, kind in enumerate(sizes)})
    worker = here.start_worker(
        "only",
        highlevel,
        HYDRANT_PROBE_SIZE=probe_size,
        GHL_REQUESTS_PER_10S=rate,
        GHL_TOKEN="",
        GHL_TOKENS_FILE=tokens,
    )
    await here.wait_until_shared(worker)
    await here.publish(at_first())
    _, _, at_its_worst = await asyncio.gather(
        follow_up(here, worker), renew(here, tokens), cure(here, highlevel, [where[kind] for kind in broken])
    )
    await wait_until(lambda: not left(here), within_s, lambda: f"left: {left(here)}, {here.last_lines}")
    await here.wait_for_leads((), requests)
    well = [where[kind] for kind in (*broken, "expired")]
    await wait_until(lambda: {"ok"} == {state(here, each) for each in well}, within_s, lambda: f"{here.last_lines}")
    flaws = await here.flaws(right, requests)
    return Observed(
        [flaw for flaw in flaws if not flaw.endswith("calls were refused (429).")],  # that was the play
        highlevel.arrivals_by_location(),
        at_its_worst,
        data(here.outputs, "location.status", "location.status"),
        here.results,
        here.answers,
        highlevel.report()["locations"],
    )


def add_faults(highlevel: SandboxProcess) -> None:
    """Add the faults and settings of the beginning."""
    highlevel.change_settings(tokens=[f"canary-old-{number}" for number in range(len(sizes))])
    for kind in closed:
        refusal = "expired" if kind == "missing" else kind
        highlevel.change_settings(location=where[kind], tokens=["canary-new"], refusal=refusal)
    highlevel.change_settings(location=where["shared"], foreign=foreign)
    highlevel.change_settings(location=where["small"], limit=burst_limit)
    for kind, (_, fault) in throttling.items():
        highlevel.add_fault(kind="status", status=429, location=where[kind], **fault)
    for kind, fault in broken.items():
        highlevel.add_fault(location=where[kind], **fault)
    highlevel.add_fault(kind="slow", delay_ms=3_000, location=where["slow"])
    highlevel.add_fault(kind="status", status=500, email=poisoned.person["email"], location=poisoned.location)


def at_first() -> list[OutRecord]:
    """Return the first events. Throttled locations have one lead each, so that no other call is in flight then."""
    changes = [lead.change() for kind, leads in who.items() for lead in (leads[:1] if kind in throttling else leads)]
    return [*changes, poisoned.sync("poisoned", deadline_s=30), who["scope"][0].sync("closed", deadline_s=8)]


async def follow_up(here: Trial, worker: WorkerProcess) -> None:
    """Publish more leads once the worker has got the last 429 of a location: all of them wait."""
    for kind, (_, fault) in throttling.items():
        await wait_for_throttling(here, worker, where[kind], fault["times"])
        await here.publish([lead.change() for lead in who[kind][1:]])


async def wait_for_throttling(here: Trial, worker: WorkerProcess, location: str, times: int) -> None:
    def throttled() -> bool:
        return [note["location"] for note in worker.log_events("throttled")].count(location) >= times

    await wait_until(throttled, within_s, lambda: f"{location} wasn't throttled {times} times: {here.last_lines}")


async def renew(here: Trial, tokens: Path) -> None:
    """Write a new token once the old one is reported as expired."""
    await wait_until(lambda: state(here, where["expired"]) == "unauthorized", within_s, lambda: f"{here.last_lines}")
    fresh = {kind: f"canary-old-{number}" for number, kind in enumerate(sizes)}
    write(tokens, fresh | {"expired": "canary-new"})


async def cure(here: Trial, highlevel: SandboxProcess, ill: Collection[str]) -> dict[str, int]:
    """Clear the faults once all are at their worst. Return how many results each location has by then."""
    await wait_until(
        lambda: {"unavailable"} == {state(here, location) for location in ill},
        within_s,
        lambda: f"{[(kind, state(here, where[kind])) for kind in broken]}, {here.last_lines}",
    )
    counts = {location: sum(one["location_id"] == location for one in here.results) for location in where.values()}
    for location in ill:
        highlevel.clear_faults(location=location)
    return counts


def write(file: Path, tokens: Mapping[str, str]) -> None:
    """Replace the file in one step, as a careful operator does."""
    fresh = file.with_suffix(".new")
    fresh.write_text("".join(f'"{where[kind]}" = "{token}"\n' for kind, token in tokens.items() if kind != "missing"))
    fresh.replace(file)


def state(here: Trial, location: str) -> str | None:
    """Return the state of its last status."""
    statuses = data(here.outputs, "location.status", "location.status")
    return next((one["state"] for one in reversed(statuses) if one["location_id"] == location), None)


def left(here: Trial) -> dict[str, int]:
    """Count the leads that aren't found yet, by kind."""
    found = {(one["location_id"], one["lead_id"]) for one in here.results if one["outcome"] == "updated"}
    missing = [lead for lead in right if (lead.location, lead.id) not in found]
    counts = {kind: sum(lead.location == location for lead in missing) for kind, location in where.items()}
    return {kind: count for kind, count in counts.items() if count}


def test_every_lead_that_can_be_found_comes_out_right(observed: Observed) -> None:
    """Each is found and filled once, with at most 100 calls in 10 s, and neither personal data nor tokens leak."""
    assert [] == observed.flaws


@pytest.mark.parametrize("kind", throttling)
def test_a_429_pauses_the_whole_location_for_its_time(observed: Observed, kind: str) -> None:
    """No call follows a refused one for that long, though more leads are due."""
    wait_ms, fault = throttling[kind]
    calls = observed.of(kind)
    refusals = [number for number, call in enumerate(calls) if call.status == 429]
    waited = [calls[number + 1].at - calls[number].at for number in refusals]

    assert list(range(fault["times"])) == refusals
    assert [] == [ms for ms in waited if ms < wait_ms]
    assert {"throttled", "ok"} == {name for name, _ in observed.states(kind)}
    assert "ok" == observed.states(kind)[-1][0]


@pytest.mark.parametrize("kind", broken)
def test_a_broken_location_is_unavailable_and_recovers_by_itself(observed: Observed, kind: str) -> None:
    states = [name for name, _ in observed.states(kind)]

    assert {"unavailable", "ok"} == set(states)
    assert "ok" == states[-1]


def test_a_slow_location_is_slow_and_nothing_else(observed: Observed) -> None:
    assert {"ok"} == {name for name, _ in observed.states("slow")}


@pytest.mark.parametrize("kind", neighbours)
def test_neighbours_are_served_meanwhile(observed: Observed, kind: str) -> None:
    """All of their leads have results before any fault was cleared."""
    assert sizes[kind] == observed.at_its_worst[where[kind]]


@pytest.mark.parametrize("kind", closed)
def test_a_refused_token_is_reported_with_its_reason(observed: Observed, kind: str) -> None:
    assert ("unauthorized", kind) in observed.states(kind)


def test_a_new_token_in_the_file_is_all_it_takes(observed: Observed) -> None:
    states = observed.states("expired")

    assert [("unauthorized", "expired"), ("ok", None)] == states[-2:]
    assert {("unauthorized", "expired"), ("ok", None)} == set(states)


@pytest.mark.parametrize("kind", sorted(never))
def test_a_location_with_a_refused_token_is_left_alone(observed: Observed, kind: str) -> None:
    """After the calls in flight at the first refusal there is one trial only; without a token there is no call."""
    calls = observed.of(kind)

    assert (kind == "missing") == (not calls)
    assert len(calls) <= sizes[kind] // probe_size + 1
    assert ("unauthorized", kind) == observed.states(kind)[-1]
    assert {("failed", "unauthorized")} >= set(observed.outcomes(kind).values())


def test_a_request_is_answered_that_the_token_is_refused(observed: Observed) -> None:
    assert [("failed", "unauthorized")] == [
        (one["outcome"], one["reason"]) for one in observed.answers if one["request_id"] == "closed"
    ]


def test_a_poisoned_email_fails_alone(observed: Observed) -> None:
    """The others find their contacts, though each search with it among them failed."""
    outcomes = observed.outcomes("poisoned")

    assert ("failed", "unavailable") == outcomes.pop(poisoned.id)
    assert {("updated", None)} == set(outcomes.values())
    assert sizes["poisoned"] - 1 == len(outcomes)


def test_a_budget_is_shared_with_other_clients(observed: Observed) -> None:
    """They make 60 of the 100 calls in 10 s; we keep to the rest, by the headers."""
    assert observed.report[where["shared"]]["foreign"]["arrivals"] > foreign
    assert observed.refused("shared") <= rarely


def test_a_lower_limit_is_read_from_the_headers(observed: Observed) -> None:
    """A test account allows 25 while our setting is 90: no call is one too many."""
    assert (0, burst_limit) == (observed.refused("small"), observed.report[where["small"]]["worst_window"])
