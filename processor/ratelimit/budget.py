"""The rate budget of one location decides when a call may be granted. Pure: time is an argument, integer milliseconds.

A grant takes a slot, and time alone frees it. Two windows hold (DESIGN §6.1): calls granted in any 10 s, and calls not
yet 10 s past their response. The server's window slides over *arrivals*. The second window therefore keeps the server
from seeing more than its limit, whatever the network does to the calls in between.
"""

from bisect import bisect_left, bisect_right, insort
from collections import deque
from collections.abc import Collection
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final, Self

import orjson

from processor.ratelimit.daily import DailyBudget
from processor.ratelimit.headers import RateHeaders, one_day_ms

window_ms: Final = 10_000  # contract.md §2: burst limits count per 10 s
server_limit: Final = 100  # contract.md §2: never grant what the server could refuse
send_within_ms: Final = 2_000  # a paused worker must not send an old slot
respond_within_ms: Final = 8_000  # past the send deadline: a request without a whole response by then is lost
ingest_within_ms: Final = 2_000  # a turn ingests that a call is lost; later, its worker is gone
slot_lasts_ms: Final = send_within_ms + respond_within_ms + window_ms  # the server may have seen the call that late
skew_ms: Final = 1_000  # clocks of two workers differ by no more (DESIGN §6.1)
in_flight_limit: Final = 20  # a hanging location holds no more connections than this
catch_up: Final = 1  # intervals that a late wake-up may make good; more would bunch calls and delay other lanes
lower_lane_every: Final = 20  # a waiting lower lane gets at least 1 call in 20
freeze_limit_ms: Final = 3_601_000  # Retry-After is clamped to an hour (DESIGN §1), and clocks differ
external_cap_at_most_ms: Final = 60_000  # an external cap holds no longer, whatever interval a response names


class Lane(IntEnum):
    """The urgency of a call: a lower number goes first. State stores the numbers."""

    INTERACTIVE = 0
    CHANGE = 1
    JOB = 2
    BACKFILL = 3

    @property
    def label(self) -> str:
        """The lane's name in events, logs and metrics."""
        return _labels[self]


_labels: Final = tuple(lane.name.lower() for lane in Lane)


@dataclass(frozen=True, slots=True)
class Rate:
    """A location's policy: how many calls we grant per 10 s and per day."""

    per_window: int = 90
    per_day: int = 200_000
    reserve: float = 0.1  # the share of the day that jobs and backfills must leave

    @property
    def ceiling(self) -> int:
        """Return the most calls that may be granted and not yet 10 s past their response: the server could count them."""
        return min(server_limit, self.per_window * 10 // 9)

    def reserved_from(self, lane: Lane) -> int:
        """Return how many calls of the day this lane must leave to more urgent lanes."""
        return int(self.per_day * self.reserve) if lane >= Lane.JOB else 0


@dataclass(frozen=True, slots=True)
class Permit:
    """A permit lets one request leave, not later than `send_by`. Times are ms since 1970."""

    location: str
    slot: int
    granted: int
    send_by: int


@dataclass(slots=True)
class Slot:
    """A slot is a granted call that still counts in a window."""

    granted: int
    until: int  # counts in the second window up to here
    completed: bool = False  # its call is over: it got a response, was lost, or never left


@dataclass(slots=True)
class Budget:
    """The state of one location's budget. `encode` and `decode` write and read its journalled form, the ledger."""

    location: str
    rate: Rate
    clock: str  # the clock that made the times; slots of another clock count `skew_ms` longer
    first: int = 0  # number of slots[0]; numbers are contiguous
    slots: deque[Slot] = field(default_factory=deque)
    paced: int = 0  # when an evenly spaced next call would be due, in 1/per_window ms: 10,000 / 90 isn't whole
    frozen_until: int = 0
    skipped: list[int] = field(default_factory=lambda: [0] * len(Lane))  # grants to others while a lane waited
    day: DailyBudget = field(default_factory=DailyBudget)
    external_cap: int = 0  # HighLevel also counts calls of other programs, or has a lower limit: a temporary ceiling
    external_cap_until: int = 0
    _ends: list[int] = field(init=False)  # each slot's `until`, sorted
    _incomplete: dict[int, Slot] = field(init=False)  # slots that are not completed, by number, in order

    def __post_init__(self) -> None:
        self._ends = sorted(slot.until for slot in self.slots)
        self._incomplete = {number: slot for number, slot in enumerate(self.slots, self.first) if not slot.completed}

    def free_at(self, now: int, lane: Lane = Lane.INTERACTIVE) -> int:
        """Return the earliest time at which a call can be granted as things stand; `now` if that is at once."""
        self.day.roll(now, self._recent)
        at = max(now, self.frozen_until, self._paced_ms())
        if len(self.slots) >= self.rate.per_window:
            at = max(at, self.slots[-self.rate.per_window].granted + window_ms)
        if len(self._ends) >= self.rate.ceiling:
            at = max(at, self._ends[-self.rate.ceiling])
        if now < self.external_cap_until and len(self._ends) >= self.external_cap:
            at = max(at, min(self.external_cap_until, self._ends[-self.external_cap]))
        if len(self._incomplete) >= in_flight_limit and self.in_flight(now) >= in_flight_limit:
            oldest = next(slot for slot in self._incomplete.values() if self._may_be_in_flight(slot, now))
            at = max(at, oldest.granted + send_within_ms + respond_within_ms)
        return max(at, self.day_allows(now, lane))

    def choose(self, waiting: Collection[Lane]) -> Lane:
        """Return the waiting lane to grant next: the most urgent, unless a lower lane was skipped too often."""
        starved = [lane for lane in waiting if self.skipped[lane] >= lower_lane_every - 1]
        return max(starved, key=lambda lane: self.skipped[lane]) if starved else min(waiting)

    def grant(self, now: int, lane: Lane, waiting: Collection[Lane] = ()) -> Permit:
        """Take a slot at `now`. Raise ValueError if `free_at` does not allow it."""
        if self.free_at(now, lane) > now:
            raise ValueError("no slot is free")
        self._forget(now)
        for other, count in enumerate(self.skipped):
            self.skipped[other] = count + 1 if other in waiting and other > lane else 0
        self.paced = max(self.paced, now * self.rate.per_window) + window_ms
        number, slot = self.first + len(self.slots), Slot(now, now + slot_lasts_ms)
        self.slots.append(slot)
        self._incomplete[number] = slot
        insort(self._ends, slot.until)
        self.day.grant(now)
        return Permit(self.location, number, now, now + send_within_ms)

    def complete(self, number: int, now: int, responded: bool) -> bool:
        """Record that the slot's call is over. A whole response frees the slot 10 s from now, else it lasts to its end.

        Return False if the slot was completed before.
        """
        if not 0 <= number - self.first < len(self.slots):
            return True  # the slot has ended long ago and is forgotten
        slot = self.slots[number - self.first]
        if slot.completed:
            return False
        if responded and slot.until > now + window_ms:
            del self._ends[bisect_left(self._ends, slot.until)]
            slot.until = now + window_ms
            insort(self._ends, slot.until)
        slot.completed = True
        del self._incomplete[number]
        return True

    def observe_headers(self, number: int, headers: RateHeaders, now: int) -> bool:
        """Apply the rate headers of a completed slot's response; they can only lower the limit.

        Return True if this starts a new period of a lowered limit.
        """
        self.day.observe_headers(headers, self.in_flight(now), now, self._recent)
        limit = min(headers.limit or server_limit, server_limit)
        ceiling, index = limit, number - self.first
        if headers.remaining is not None and 0 <= index < len(self.slots):
            others = limit - headers.remaining - self._countable(index)
            if others > 0:  # calls of other programs; as with ours, a tenth of the rest is left for calls we can't see
                ceiling = max(1, (limit - others) * 9 // 10)
        if ceiling >= self.rate.ceiling or (now < self.external_cap_until and ceiling > self.external_cap):
            return False
        new_period = now >= self.external_cap_until
        self.external_cap = ceiling
        self.external_cap_until = now + min(headers.interval_ms or window_ms, external_cap_at_most_ms)
        return new_period

    def freeze(self, until: int) -> None:
        """Grant nothing before `until`, after a 429."""
        self.frozen_until = max(self.frozen_until, until)

    def granted_in_window(self, now: int) -> int:
        return sum(slot.granted > now - window_ms for slot in self.slots)

    def granted_today(self, now: int) -> int:
        return self.day.granted(now)

    def left_today(self, now: int) -> int:
        """Return the calls that the day still allows."""
        return self.day.remaining(now, self.rate.per_day)

    def day_allows(self, now: int, lane: Lane) -> int:
        """Return the earliest time at which the day has a call left for this lane."""
        return self.day.free_at(now, self.rate.per_day, self.rate.reserved_from(lane))

    def done_by(self, calls: int, now: int, lane: Lane) -> int:
        """Estimate the time by which this many calls of the lane can be granted if no other lane asks. Days count."""
        share = max(1, self.rate.per_day - self.rate.reserved_from(lane))
        today = max(0, self.left_today(now) - self.rate.reserved_from(lane))
        if calls <= today:
            return now + calls * window_ms // self.rate.per_window
        days, rest = divmod(calls - today - 1, share)
        next_day = self.day_allows(now, lane)
        if next_day <= now:
            next_day = self.day.resets_at if self.day.resets_at > now else now + one_day_ms
        return next_day + days * one_day_ms + (rest + 1) * window_ms // self.rate.per_window

    def in_flight(self, now: int) -> int:
        return sum(self._may_be_in_flight(slot, now) for slot in self._incomplete.values())

    def idle_by(self, now: int) -> int:
        """Return the time by which all calls in flight are over and ingested; `now` if there are none."""
        last = max((slot.granted for slot in self._incomplete.values()), default=0)
        return max(now, last + send_within_ms + respond_within_ms + ingest_within_ms)

    def encode(self) -> bytes:
        """Return the ledger. Slots are coded by differences: a saturated location takes a few hundred bytes."""
        coded, last = [], 0
        for slot in self.slots:
            coded += [slot.granted - last, slot.until - slot.granted, int(slot.completed)]
            last = slot.granted
        return orjson.dumps(
            {
                "clock": self.clock,
                "rate": self.rate.per_window,
                "first": self.first,
                "slots": coded,
                "paced": self.paced,
                "frozen_until": self.frozen_until,
                "passed": self.skipped,
                "tight": [self.external_cap, self.external_cap_until] if self.external_cap_until else [],
                **self.day.encode(),
            }
        )

    @classmethod
    def decode(cls, ledger: bytes | None, location: str, rate: Rate, clock: str, now: int) -> Self:
        """Read a ledger of any worker. Times set by another clock count longer. No time lies further ahead than it
        could have been set: a stepped clock must not park a location."""
        if ledger is None:
            return cls(location, rate, clock)
        stored = orjson.loads(ledger)
        longer = 0 if stored["clock"] == clock else skew_ms
        slots, granted, coded, furthest = deque[Slot](), longer, iter(stored["slots"]), now + slot_lasts_ms + skew_ms
        for since_last, lasts, completed in zip(coded, coded, coded, strict=True):
            granted += since_last
            slot = Slot(granted, granted + lasts, completed == 1)
            if granted > now:
                slot.granted = now
            if slot.until > furthest:
                slot.until = furthest
            slots.append(slot)
        paced = stored["paced"] * rate.per_window // stored["rate"] + longer * rate.per_window
        cap, cap_until = stored.get("tight") or (0, 0)
        return cls(
            location,
            rate,
            clock,
            stored["first"],
            slots,
            min(paced, now * rate.per_window + (catch_up + 1) * window_ms),
            min(stored["frozen_until"] + longer * bool(stored["frozen_until"]), now + freeze_limit_ms),
            stored["passed"],
            DailyBudget.decode(stored["hours"], stored.get("told", [None, 0, 0, 0]), longer, now),
            cap,
            min(cap_until + longer, now + external_cap_at_most_ms) if cap else 0,
        )

    def _paced_ms(self) -> int:
        return -((catch_up * window_ms - self.paced) // self.rate.per_window)  # rounded up: never before its time

    def _may_be_in_flight(self, slot: Slot, now: int) -> bool:
        """True if the call of an incomplete slot can still get a response."""
        return slot.granted + send_within_ms + respond_within_ms > now

    def _recent(self, now: int) -> int:
        """Return the calls that HighLevel may still count."""
        return len(self._ends) - bisect_right(self._ends, now)

    def _countable(self, index: int) -> int:
        """Return the most of our calls that the server can have counted when this slot's call arrived: those that
        counted here when it was granted, and all granted since, which count longer."""
        return self._recent(self.slots[index].granted)

    def _forget(self, now: int) -> None:
        """Drop slots that no longer count, unless they counted when a call now in flight was granted."""
        now = next((slot.granted for slot in self._incomplete.values() if self._may_be_in_flight(slot, now)), now)
        while self.slots and self.slots[0].until <= now and self.slots[0].granted <= now - window_ms:
            self._incomplete.pop(self.first, None)
            del self._ends[bisect_left(self._ends, self.slots.popleft().until)]
            self.first += 1
