"""Other programs use the same limit: HighLevel's headers keep the budget clear of 429s."""

import heapq
from dataclasses import dataclass
from itertools import count
from random import Random

import pytest
from hypothesis import given, strategies

from processor.ratelimit.budget import Budget, Lane, Rate
from processor.ratelimit.headers import RateHeaders

from .servers import SlidingLog

start = 1_700_000_000_000


@dataclass
class Shared:
    """A location with a limit that others use as well, evenly. The server counts each arrival that it doesn't refuse."""

    others: int  # calls in 10 s
    latency_ms: int = 50  # out, and back, each up to so much
    limit: int = 100
    observes: bool = True  # the headers
    ours: int = 0
    refused: int = 0

    def run(self, seconds: int = 60) -> "Shared":
        random, order, server = Random(1), count(), SlidingLog(self.limit)
        budget = Budget("location-1", Rate(), "worker-1")
        events: list[tuple[int, int, str, int, int]] = []

        def later(at: int, kind: str, slot: int = 0, remaining: int = 0) -> None:
            heapq.heappush(events, (at, next(order), kind, slot, remaining))

        now, end = start, start + seconds * 1_000
        if self.others:
            later(start, "other")
        while now < end:
            while events and events[0][0] <= now:
                at, _, kind, slot, remaining = heapq.heappop(events)
                if kind == "other":
                    if server.arrive(at) > self.limit:
                        server.refuse()
                    later(at + 10_000 // self.others, "other")
                elif kind == "arrival":
                    self.ours += 1
                    if (load := server.arrive(at)) > self.limit:
                        server.refuse()
                        self.refused += 1
                    back, left = at + random.randint(1, self.latency_ms), max(0, self.limit - load)
                    later(back, "response" if load <= self.limit else "429", slot, left)
                else:
                    budget.complete(slot, at, responded=True)
                    if kind == "429":
                        budget.freeze(at + 10_000)
                    if self.observes:
                        budget.observe_headers(slot, RateHeaders(limit=self.limit, remaining=remaining), at)
            if budget.free_at(now) <= now:
                later(now + random.randint(1, self.latency_ms), "arrival", budget.grant(now, Lane.CHANGE).slot)
            now = max(now + 1, min([budget.free_at(now), *(at for at, *_ in events[:1])]))
        return self


@pytest.mark.parametrize("latency_ms", [50, 400, 2_000])
def test_alone_headers_cost_nothing(latency_ms: int) -> None:
    """They count our own calls too. In whatever order responses arrive, no other program seems to be there."""
    observing, blind = Shared(0, latency_ms).run(), Shared(0, latency_ms, observes=False).run()

    assert (blind.ours, 0) == (observing.ours, observing.refused)


@pytest.mark.parametrize("others", [10, 30, 60])
@pytest.mark.parametrize("latency_ms", [50, 400])
def test_beside_others_there_are_no_429s_and_more_gets_through(others: int, latency_ms: int) -> None:
    observing, blind = Shared(others, latency_ms).run(), Shared(others, latency_ms, observes=False).run()

    assert 0 == observing.refused < blind.refused
    assert observing.ours - observing.refused > blind.ours - blind.refused
    assert observing.ours >= 60 // 10 * (100 - others) * 0.8


def test_a_test_accounts_lower_limit_needs_no_setting() -> None:
    observing = Shared(0, limit=25).run()

    assert 0 == observing.refused
    assert observing.ours >= 6 * 23


@given(
    received=strategies.lists(
        strategies.tuples(
            strategies.none() | strategies.integers(1, 200),
            strategies.none() | strategies.integers(0, 200),
            strategies.none() | strategies.integers(1, 100_000),
            strategies.none() | strategies.integers(30, 60),
        ),
        max_size=25,
    )
)
def test_headers_only_lower_the_limit_and_never_for_long(
    received: list[tuple[int | None, int | None, int | None, int | None]],
) -> None:
    """No header makes a call earlier than it would be without, and the effect of headers is over after a minute."""
    observing, blind = Budget("l", Rate(), "w"), Budget("l", Rate(), "w")
    now = start
    for limit, remaining, interval, left in received:
        now = max(now, observing.free_at(now))
        assert blind.free_at(now) <= observing.free_at(now)
        slot = observing.grant(now, Lane.CHANGE).slot
        blind.grant(now, Lane.CHANGE)
        now += 20
        for budget in (observing, blind):
            budget.complete(slot, now, responded=True)
        observing.observe_headers(slot, RateHeaders(limit, remaining, interval, left), now)
        assert blind.free_at(now) <= observing.free_at(now)

    assert observing.free_at(now + 60_000) == now + 60_000
