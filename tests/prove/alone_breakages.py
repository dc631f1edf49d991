"""Budget, broken: each of these takes away one thing that a promise needs."""

from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Any

import orjson
import pytest

from processor.ratelimit import budget
from processor.ratelimit.budget import Budget, Lane, Permit, Rate

Patch = pytest.MonkeyPatch
Breakage = Callable[[Patch], None]


def wrapped(patch: Patch, name: str, around: Callable[..., Any]) -> None:
    """`around` gets the method itself first, and then what it was called with."""
    method = getattr(Budget, name)
    patch.setattr(Budget, name, lambda *args, **named: around(method, *args, **named))


def clocks_are_taken_for_one(patch: Patch) -> None:
    patch.setattr(budget, "skew_ms", 0)


def inherited_slots_are_not_lengthened(patch: Patch) -> None:
    """Freezes and pacing still are."""

    def decode(method: Callable[..., Budget], ledger: bytes, location: str, rate: Rate, clock: str, now: int) -> Budget:
        as_written = method(ledger, location, rate, orjson.loads(ledger)["clock"], now)
        return replace(method(ledger, location, rate, clock, now), slots=as_written.slots)

    wrapped(patch, "decode", decode)


def the_ledger_is_not_handed_over(patch: Patch) -> None:
    wrapped(patch, "decode", lambda method, ledger, *args: method(None, *args))


def a_freeze_is_not_journalled(patch: Patch) -> None:
    wrapped(patch, "decode", lambda method, *args: replace(method(*args), frozen_until=0))


def a_freeze_is_ignored(patch: Patch) -> None:
    patch.setattr(Budget, "freeze", lambda budget, until: None)


def the_second_window_is_dropped(patch: Patch) -> None:
    """The headers are ignored as well: they would replace the limit."""
    patch.setattr(Rate, "ceiling", property(lambda rate: 10_000))
    headers_are_ignored(patch)


def the_ceiling_is_ten_off(patch: Patch) -> None:
    patch.setattr(Rate, "ceiling", property(lambda rate: rate.per_window * 10 // 9 + 10))
    headers_are_ignored(patch)  # as above


def a_window_lasts_nine_seconds(patch: Patch) -> None:
    patch.setattr(budget, "window_ms", 9_000)


def a_slot_is_freed_ten_seconds_after_its_grant(patch: Patch) -> None:
    patch.setattr(budget, "slot_lasts_ms", budget.window_ms)


def a_slot_without_an_answer_ends_as_if_it_had_one(patch: Patch) -> None:
    wrapped(
        patch, "complete", lambda method, budget, number, now, responded: method(budget, number, now, responded=True)
    )


def a_slot_without_an_answer_ends_ten_seconds_after_its_deadline(patch: Patch) -> None:
    patch.setattr(budget, "slot_lasts_ms", budget.send_within_ms + budget.window_ms)


def a_call_is_sent_however_late(patch: Patch) -> None:
    def grant(method: Callable[..., Permit], *args: Any) -> Permit:
        permit = method(*args)
        return replace(permit, send_by=permit.granted + 3_600_000)

    wrapped(patch, "grant", grant)


def headers_are_ignored(patch: Patch) -> None:
    patch.setattr(Budget, "observe_headers", lambda budget, number, headers, now: False)


def calls_are_not_paced(patch: Patch) -> None:
    def grant(method: Callable[..., Permit], budget: Budget, *args: Any) -> Permit:
        permit = method(budget, *args)
        budget.paced = 0
        return permit

    wrapped(patch, "grant", grant)


def the_remainder_of_pacing_is_dropped(patch: Patch) -> None:
    """The next call is due a whole number of ms after this one, however late this one was."""

    def grant(method: Callable[..., Permit], self: Budget, now: int, *args: Any) -> Permit:
        permit, rate = method(self, now, *args), self.rate.per_window
        due = now - budget.window_ms // -rate
        self.paced = due * rate + budget.catch_up * budget.window_ms
        return permit

    wrapped(patch, "grant", grant)


def lanes_are_ignored(patch: Patch) -> None:
    """A lane that always has something to do goes first."""

    def choose(budget: Budget, waiting: Collection[Lane]) -> Lane:
        return max(waiting)

    patch.setattr(Budget, "choose", choose)
