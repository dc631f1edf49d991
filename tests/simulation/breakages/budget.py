"""Breakages of the rate budget and the circuit breaker."""

from collections.abc import Sequence

import orjson
import pytest

from processor.ratelimit import budget, circuit_breaker
from processor.ratelimit.budget import Budget, Lane, Rate

Patch = pytest.MonkeyPatch


def slot_freed_at_send(patch: Patch) -> None:
    """Calls granted are counted, calls on their way are not."""
    patch.setattr(budget, "slot_lasts_ms", 0)


def lost_slots_freed_too_soon(patch: Patch) -> None:
    """A call without a response is taken for one that can't arrive late."""
    patch.setattr(budget, "slot_lasts_ms", budget.window_ms + 2_000)


def clocks_taken_for_equal(patch: Patch) -> None:
    """Times of a worker before us count as if they were by our own clock."""
    patch.setattr(budget, "skew_ms", 0)


def send_deadline_ignored(patch: Patch) -> None:
    """A call that waited in a frozen worker leaves when that goes on."""
    patch.setattr(budget, "send_within_ms", 3_600_000)


def circuit_never_opened(patch: Patch) -> None:
    """The next call follows each failure."""
    patch.setattr(circuit_breaker, "opens_after", 10**9)


def freeze_not_persisted(patch: Patch) -> None:
    """A 429 holds only in the worker that received it."""
    encode = Budget.encode
    patch.setattr(Budget, "encode", lambda self: orjson.dumps({**orjson.loads(encode(self)), "frozen_until": 0}))


def calls_in_flight_unbounded(patch: Patch) -> None:
    patch.setattr(budget, "in_flight_limit", 10**9)


def reserve_given_to_jobs(patch: Patch) -> None:
    patch.setattr(Rate, "reserved_from", lambda self, lane: 0)


def responses_ingested_twice(patch: Patch) -> None:
    """A response that was ingested before is ingested again."""
    complete = Budget.complete

    def completed(self: Budget, number: int, now: int, responded: bool) -> bool:
        complete(self, number, now, responded)
        return True

    patch.setattr(Budget, "complete", completed)


def lanes_ignored(patch: Patch) -> None:
    """The call that has waited longest is next: the lowest lane's, as far as the budget knows."""
    patch.setattr(Budget, "choose", lambda self, waiting: max(waiting))


def lower_lanes_starved(patch: Patch) -> None:
    def choose(self: Budget, waiting: Sequence[Lane]) -> Lane:
        return min(waiting)

    patch.setattr(Budget, "choose", choose)
