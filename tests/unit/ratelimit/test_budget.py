"""The rate budget against independent models of strict servers, with a jittered network and adversarial demand."""

import heapq
from collections import deque
from dataclasses import dataclass, field
from random import Random

import orjson
import pytest
from hypothesis import given, settings, strategies

from processor.ratelimit.budget import Budget, Lane, Rate
from processor.ratelimit.headers import RateHeaders

from .servers import FixedWindow, Server, SlidingLog, TokenBucket, worst

start = 1_700_000_000_000
location = "location-1"


@dataclass
class Network:
    """A network delays requests and responses, and loses some responses."""

    out_ms: int = 50
    back_ms: int = 50
    lost: float = 0.0


@dataclass
class Drive:
    """A drive puts one location under demand. It grants whenever the budget allows, and a server counts the arrivals."""

    random: Random
    network: Network
    rate: Rate = field(default_factory=Rate)
    late_ms: int = 0  # a busy worker wakes up late by up to so much
    backlog: bool = True  # endless change work
    interactive_per_s: float = 0.0
    evenly: bool = False
    crash_every_ms: int = 0
    hand_over: bool = True  # the ledger, at a crash
    arrivals: list[int] = field(default_factory=list)
    granted: list[tuple[int, int]] = field(default_factory=list)
    waits: list[int] = field(default_factory=list)

    def run(self, seconds: int) -> "Drive":
        now, end, skew, crashes = start, start + seconds * 1000, 0, 0
        budget = Budget(location, self.rate, "worker 0")
        demand, queue = deque(self._demand(seconds)), deque[int]()
        responses: list[tuple[int, int]] = []
        crash_at = now + self.crash_every_ms if self.crash_every_ms else end
        while now < end:
            if now >= crash_at:
                crash_at, crashes = now + self.random.randint(1, 2 * self.crash_every_ms), crashes + 1
                skew = self.random.randint(-500, 500)
                ledger = budget.encode() if self.hand_over else None
                responses.clear()
                budget = Budget.decode(ledger, location, self.rate, f"worker {crashes}", now + skew)
            while demand and demand[0] <= now:
                queue.append(demand.popleft())
            while responses and responses[0][0] <= now:
                budget.complete(heapq.heappop(responses)[1], now + skew, responded=True)
            while (queue or self.backlog) and budget.free_at(now + skew) <= now + skew:
                waiting = [lane for lane, waits in ((Lane.INTERACTIVE, queue), (Lane.CHANGE, self.backlog)) if waits]
                lane = budget.choose(waiting)
                permit = budget.grant(now + skew, lane, waiting)
                self.granted.append((now, lane))
                self._travel(now, permit.slot, responses)
                if lane == Lane.INTERACTIVE:
                    self.waits.append(now - queue.popleft())
            now = max(now + 1, min(budget.free_at(now + skew) - skew, crash_at)) + self.random.randint(0, self.late_ms)
        self.arrivals.sort()
        return self

    def _demand(self, seconds: int) -> list[int]:
        if not self.interactive_per_s:
            return []
        count = int(seconds * self.interactive_per_s)
        if self.evenly:
            gap = 1000 / self.interactive_per_s
            return [start + int((n + self.random.random()) * gap) for n in range(count)]
        return sorted(start + self.random.randrange(seconds * 1000) for _ in range(count))

    def _travel(self, now: int, slot: int, responses: list[tuple[int, int]]) -> None:
        sent = now + self.random.randint(0, min(2_000, self.network.out_ms))
        arrived = sent + self.random.randint(0, self.network.out_ms)
        self.arrivals.append(arrived)
        responded = arrived + self.random.randint(0, self.network.back_ms)
        if self.random.random() >= self.network.lost and responded <= now + 10_000:
            heapq.heappush(responses, (responded, slot))

    @property
    def use(self) -> float:
        seconds = (self.granted[-1][0] - self.granted[0][0]) / 1000
        return (len(self.granted) - 1) / (seconds * self.rate.per_window / 10)


networks = strategies.builds(
    Network,
    strategies.sampled_from([1, 50, 400, 2_000, 6_000]),
    strategies.sampled_from([1, 50, 1_500]),
    strategies.sampled_from([0, 0, 0.1, 1.0]),
)


@settings(max_examples=60, deadline=None)
@given(
    seed=strategies.integers(0, 2**32),
    network=networks,
    per_window=strategies.sampled_from([1, 7, 22, 90, 100]),
    late=strategies.integers(0, 300),
)
def test_no_strict_server_ever_sees_more_than_its_limit(
    seed: int, network: Network, per_window: int, late: int
) -> None:
    """No reading of the limit counts more than 10/9 of the rate, and never 100."""
    rate = Rate(per_window)
    drive = Drive(Random(seed), network, rate, late_ms=late, interactive_per_s=3).run(60)

    windows = [FixedWindow(phase_ms=phase) for phase in range(0, 10_000, 777)]
    servers: list[Server] = [SlidingLog(), TokenBucket(rate.ceiling), *windows]
    assert max(worst(server, drive.arrivals) for server in servers) <= rate.ceiling <= 100
    assert worst(SlidingLog(), [at for at, _ in drive.granted]) <= per_window


@settings(max_examples=40, deadline=None)
@given(seed=strategies.integers(0, 2**32), network=networks, every=strategies.sampled_from([300, 2_000, 9_000]))
def test_a_ledger_handed_over_can_not_overspend(seed: int, network: Network, every: int) -> None:
    """The server sees no more than 100 despite crashes at any moment.

    The clocks of successors differ by up to a second.
    """
    drive = Drive(Random(seed), network, late_ms=20, crash_every_ms=every).run(60)

    assert worst(SlidingLog(), drive.arrivals) <= 100


def test_without_the_ledger_a_successor_overspends() -> None:
    """The guard proved: the same crashes with the ledger lost break the limit."""
    drive = Drive(Random(1), Network(), crash_every_ms=300, hand_over=False).run(60)

    assert worst(SlidingLog(), drive.arrivals) > 100


def test_slots_freed_at_the_grant_let_the_server_see_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """The guard proved: 100 granted per 10 s is not 100 arrivals per 10 s."""
    monkeypatch.setattr(Rate, "ceiling", property(lambda self: 10_000))
    monkeypatch.setattr("processor.ratelimit.budget.in_flight_limit", 10_000)
    drive = Drive(Random(1), Network(out_ms=4_000), Rate(100)).run(60)

    assert worst(SlidingLog(), drive.arrivals) > 100


@pytest.mark.parametrize("late_ms", [0, 30, 100])
def test_an_endless_backlog_uses_the_whole_budget(late_ms: int) -> None:
    """At least 99 % of 90 calls in 10 s, also when wake-ups are late."""
    drive = Drive(Random(2), Network(), late_ms=late_ms).run(600)

    assert drive.use == pytest.approx(1.0, abs=0.01)


@pytest.mark.parametrize("late_ms", [0, 30])
def test_interactive_calls_hardly_wait_under_an_endless_backlog(late_ms: int) -> None:
    """People ask for half of the budget: 99 of 100 wait no longer than 400 ms. The rest is still used."""
    drive = Drive(Random(3), Network(), late_ms=late_ms, interactive_per_s=4.5, evenly=True).run(600)
    waits = sorted(drive.waits)

    assert waits[len(waits) * 99 // 100] <= 400
    assert drive.use >= 0.99


def test_a_waiting_lower_lane_gets_one_call_in_twenty() -> None:
    """People ask for more than there is: changes still go on."""
    drive = Drive(Random(4), Network(), interactive_per_s=30).run(120)
    lanes = [lane for _, lane in drive.granted]

    assert all(Lane.CHANGE in lanes[at : at + 20] for at in range(0, len(lanes) - 20, 20))
    assert lanes.count(Lane.CHANGE) / len(lanes) == pytest.approx(1 / 20, abs=0.01)


def test_every_lower_lane_is_served_in_turn() -> None:
    budget = Budget(location, Rate(100), "w")
    now, served = start, []
    for _ in range(60):
        now = budget.free_at(now)
        lane = budget.choose([Lane.INTERACTIVE, Lane.CHANGE, Lane.JOB])
        budget.grant(now, lane, [Lane.INTERACTIVE, Lane.CHANGE, Lane.JOB])
        served.append(lane)

    assert {Lane.CHANGE, Lane.JOB} <= set(served[:21])
    assert served.count(Lane.INTERACTIVE) >= 52


def test_a_slot_is_free_ten_seconds_after_its_response() -> None:
    budget = Budget(location, Rate(1), "w")
    permit = budget.grant(start, Lane.CHANGE)
    budget.complete(permit.slot, start + 700, responded=True)

    assert budget.free_at(start + 1_000) == start + 10_700


def test_a_slot_without_a_response_is_held_to_its_end() -> None:
    """The send deadline, 8 s for the response, and 10 s in which the server may still count the call."""
    budget = Budget(location, Rate(1), "w")
    budget.grant(start, Lane.CHANGE)

    assert budget.free_at(start + 19_000) == start + 20_000


def test_a_permit_must_be_used_within_two_seconds() -> None:
    permit = Budget(location, Rate(), "w").grant(start, Lane.CHANGE)

    assert (permit.location, permit.granted, permit.send_by) == (location, start, start + 2_000)


def test_a_slot_can_not_be_taken_when_none_is_free() -> None:
    budget = Budget(location, Rate(1), "w")
    budget.grant(start, Lane.CHANGE)

    with pytest.raises(ValueError, match="no slot"):
        budget.grant(start + 1, Lane.CHANGE)


def test_nothing_is_granted_before_a_freeze_ends() -> None:
    budget = Budget(location, Rate(), "w")
    budget.freeze(start + 7_000)
    budget.freeze(start + 3_000)

    assert budget.free_at(start) == start + 7_000
    assert Budget.decode(budget.encode(), location, Rate(), "w", start).free_at(start) == start + 7_000


def test_a_hanging_location_holds_no_more_than_twenty_calls() -> None:
    budget, now = Budget(location, Rate(), "w"), start
    for _ in range(20):
        now = budget.free_at(now)
        budget.grant(now, Lane.CHANGE)

    assert budget.in_flight(now) == 20
    assert budget.free_at(now) == start + 10_000


def test_the_ledger_comes_back_as_it_was() -> None:
    budget, now, random = Budget(location, Rate(), "w"), start, Random(5)
    for _ in range(80):
        now = budget.free_at(now) + random.randint(0, 50)
        permit = budget.grant(now, random.choice([Lane.INTERACTIVE, Lane.CHANGE]), [Lane.INTERACTIVE, Lane.CHANGE])
        if random.random() < 0.8:
            budget.complete(permit.slot, now + 40, responded=True)

    again = Budget.decode(budget.encode(), location, Rate(), "w", now)
    assert again == budget
    assert len(budget.encode()) < 1_200


def test_unknown_keys_of_a_ledger_are_written_back() -> None:
    """A neighbouring version may keep more in it: the ledger passes between them."""
    budget = Budget(location, Rate(), "w")
    budget.grant(start, Lane.CHANGE)
    stored = orjson.loads(budget.encode())
    ledger = orjson.dumps(stored | {"later": {"a": [1]}, "later_too": None})

    assert ledger == Budget.decode(ledger, location, Rate(), "w", start).encode()


def test_slots_of_another_clock_count_a_second_longer() -> None:
    budget = Budget(location, Rate(1), "w")
    budget.complete(budget.grant(start, Lane.CHANGE).slot, start + 100, responded=True)
    ledger = budget.encode()

    assert Budget.decode(ledger, location, Rate(1), "other", start + 5_000).free_at(start + 5_000) == start + 11_100
    assert Budget.decode(ledger, location, Rate(1), "w", start + 5_000).free_at(start + 5_000) == start + 10_100


def test_no_stored_time_lies_further_ahead_than_it_could_have_been_set() -> None:
    """A ledger written by a clock that ran a day ahead parks no location for a day."""
    ahead = start + 24 * 3_600_000
    budget = Budget(location, Rate(1), "w")
    budget.grant(ahead, Lane.CHANGE)

    assert Budget.decode(budget.encode(), location, Rate(1), "other", start).free_at(start) <= start + 21_000
    budget.freeze(ahead)
    assert Budget.decode(budget.encode(), location, Rate(1), "other", start).free_at(start) <= start + 3_601_000


def test_a_lowered_rate_holds_at_once() -> None:
    budget, now = Budget(location, Rate(90), "w"), start
    for _ in range(60):
        now = budget.free_at(now)
        budget.complete(budget.grant(now, Lane.CHANGE).slot, now + 10, responded=True)

    lower = Budget.decode(budget.encode(), location, Rate(22), "w", now)
    assert lower.free_at(now) > now + 4_000


def test_the_days_reserve_is_kept_from_jobs() -> None:
    """With 10 calls a day and half of them reserved, a job gets 5 and a change the rest."""
    rate = Rate(per_window=100, per_day=10, reserve=0.5)
    budget, now = Budget(location, rate, "w"), start
    for _ in range(5):
        now = budget.free_at(now, Lane.JOB)
        budget.grant(now, Lane.JOB)

    assert budget.free_at(now, Lane.JOB) > now + 24 * 3_600_000 - 3_600_000
    assert budget.free_at(now + 200, Lane.CHANGE) == now + 200
    assert budget.left_today(now) == 5


# rate-limit headers


def make_calls(budget: Budget, calls: int, now: int = start) -> int:
    """Make so many calls, each with a response 10 ms later. Return the time of the last one."""
    for _ in range(calls):
        now = budget.free_at(now)
        budget.complete(budget.grant(now, Lane.CHANGE).slot, now + 10, responded=True)
    return now + 10


def last(budget: Budget) -> int:
    return budget.first + len(budget.slots) - 1


def test_headers_that_count_our_own_calls_alone_change_nothing() -> None:
    budget = Budget(location, Rate(), "w")
    now = make_calls(budget, 30)

    assert not budget.observe_headers(last(budget), RateHeaders(limit=100, remaining=70), now)
    assert budget.free_at(now + 200) == now + 200


def test_calls_of_others_are_left_to_them_for_one_interval() -> None:
    """30 of ours and 60 of others: (100 - 60) × 9/10 = 36 of ours may be counted at a time, for 10 s."""
    budget = Budget(location, Rate(), "w")
    now = make_calls(budget, 30)

    assert budget.observe_headers(last(budget), RateHeaders(limit=100, remaining=10), now)
    held = make_calls(budget, 6, now)
    assert start + 10_010 <= budget.free_at(held) <= now + 10_000
    assert not budget.observe_headers(
        last(budget), RateHeaders(limit=100, remaining=90), held
    )  # headers can only lower the limit
    assert start + 10_010 <= budget.free_at(held) <= now + 10_000
    assert budget.free_at(now + 10_000) == now + 10_000


def test_a_lower_limit_of_highlevels_is_obeyed() -> None:
    """A test account's 25 in 10 s, with our rate left at 90."""
    budget = Budget(location, Rate(), "w")
    now = make_calls(budget, 1)
    assert budget.observe_headers(last(budget), RateHeaders(limit=25, remaining=24, interval_ms=10_000), now)

    server = SlidingLog(limit=25)
    server.arrive(start)
    while now < start + 60_000:
        now = budget.free_at(now)
        slot = budget.grant(now, Lane.CHANGE).slot
        load = server.arrive(now)
        now += 10
        budget.complete(slot, now, responded=True)
        budget.observe_headers(slot, RateHeaders(limit=25, remaining=max(0, 25 - load)), now)
    assert 23 <= server.worst <= 25


def test_a_header_parks_no_location() -> None:
    """An interval of an hour with nothing left holds for a minute, then a call asks again."""
    budget = Budget(location, Rate(), "w")
    now = make_calls(budget, 1)
    budget.observe_headers(last(budget), RateHeaders(limit=1, remaining=0, interval_ms=3_600_000), now)

    assert now < budget.free_at(now) <= now + 60_000


def test_an_external_cap_is_handed_over() -> None:
    budget = Budget(location, Rate(), "w")
    now = make_calls(budget, 30)
    budget.observe_headers(last(budget), RateHeaders(limit=100, remaining=10), now)

    successor = Budget.decode(budget.encode(), location, Rate(), "other", now)
    assert (36, now + 11_000) == (successor.external_cap, successor.external_cap_until)


def test_a_lost_call_is_in_flight_no_more_but_keeps_its_slot() -> None:
    budget = Budget(location, Rate(per_window=100), "w")
    now = start
    for _ in range(20):
        now = budget.free_at(now)
        budget.grant(now, Lane.CHANGE)
    assert budget.free_at(now + 200) == start + 10_000

    budget.complete(0, now, responded=False)
    assert budget.free_at(now + 200) == now + 200
    assert budget.slots[0].until == start + 20_000
