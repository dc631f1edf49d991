"""The rate budget of one location decides when a call may be granted. It is pure: time is an argument, in integer ms.

A granted call takes a slot, and time alone frees it. Two windows are kept (DESIGN §6.1): calls granted in any 10 s, and
calls not yet 10 s past their response. The server's window slides over *arrivals*. So the second window keeps the server
from ever seeing more than its limit, whatever the network does to the calls.
"""

from bisect import bisect_left, bisect_right, insort
from collections import deque
from collections.abc import Collection
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final, Self

import orjson

from processor.ratelimit.daily import DailyBudget, daily_keys
from processor.ratelimit.headers import RateHeaders, day_ms

window_ms: Final = 10_000  # contract.md §2: burst limits count per 10 s
server_limit: Final = 100  # contract.md §2: never grant what the server could refuse
send_within_ms: Final = 2_000  # a paused worker must not send an old slot
respond_within_ms: Final = 8_000  # past the send deadline: a request without a whole response by then is lost
ingest_within_ms: Final = 2_000  # a turn ingests that a call is lost; later, its worker is gone
slot_lasts_ms: Final = send_within_ms + respond_within_ms + window_ms  # the server may have seen the call so late
skew_ms: Final = 1_000  # clocks of two workers differ by no more (DESIGN §6.1)
in_flight_limit: Final = 20  # a hanging location holds no more connections than this
catch_up: Final = 1  # intervals that a late wake-up may make up for; more would bunch calls and make other lanes wait
lower_lane_every: Final = 20  # a waiting lower lane gets at least 1 call in 20
freeze_limit_ms: Final = 3_601_000  # Retry-After is clamped to an hour (DESIGN §1), and clocks differ
external_cap_at_most_ms: Final = 60_000  # whatever interval the headers name, their cap holds no longer
# names as stored, which never change
ledger_keys: Final = daily_keys | {"clock", "rate", "first", "slots", "paced", "frozen_until", "passed", "tight"}


class Lane(IntEnum):
    """Lanes order calls by urgency; a smaller lane goes first."""

    INTERACTIVE = 0
    CHANGE = 1
    JOB = 2
    BACKFILL = 3

    @property
    def label(self) -> str:
        return lane_labels[self]


lane_labels: Final = tuple(lane.name.lower() for lane in Lane)


@dataclass(frozen=True, slots=True)
class Rate:
    """A rate limits the calls that Hydrant grants to a location: per 10 s and per day."""

    per_window: int = 90
    per_day: int = 200_000
    reserve: float = 0.1  # the share of the day that jobs and backfills must leave

    @property
    def ceiling(self) -> int:
        """Return how many calls may be granted and not yet 10 s past their response: the server could count them all."""
        return min(server_limit, self.per_window * 10 // 9)

    def reserved_from(self, lane: Lane) -> int:
        """Return how many calls of the day this lane must leave to more urgent ones."""
        return int(self.per_day * self.reserve) if lane >= Lane.JOB else 0


@dataclass(frozen=True, slots=True)
class Permit:
    """A permit allows one request on the wire, not later than `send_by`. Times are ms since 1970."""

    location: str
    slot: int
    granted: int
    send_by: int


@dataclass(slots=True)
class Slot:
    """A slot holds one granted call for as long as the server may count it."""

    granted: int
    until: int  # the slot counts in the second window up to here
    completed: bool = False  # its call got a response, was lost, or was never sent


@dataclass(slots=True)
class Budget:
    """A budget is the state of one location's rate limit. `encode` returns its journalled form, the ledger."""

    location: str
    rate: Rate
    clock: str  # the worker whose clock set the times; slots of another clock count `skew_ms` longer
    first: int = 0  # number of slots[0]; numbers are contiguous
    slots: deque[Slot] = field(default_factory=deque)
    paced: int = 0  # when the next evenly spaced call is due, in 1/per_window ms: 10,000 / 90 isn't whole
    frozen_until: int = 0
    skipped: list[int] = field(default_factory=lambda: [0] * len(Lane))  # by lane: grants in a row to others
    day: DailyBudget = field(default_factory=DailyBudget)
    external_cap: int = 0  # a ceiling for a while: other programs use the same limit, or HighLevel's is lower
    external_cap_until: int = 0
    unknown: dict[str, object] = field(default_factory=dict)  # ledger keys of a later version, written back unread
    _ends: list[int] = field(init=False)  # each slot's `until`, sorted
    _open: dict[int, Slot] = field(init=False)  # slots that aren't completed, by number, in order

    def __post_init__(self) -> None:
        self._ends = sorted(slot.until for slot in self.slots)
        self._open = {number: slot for number, slot in enumerate(self.slots, self.first) if not slot.completed}

    def free_at(self, now: int, lane: Lane = Lane.INTERACTIVE) -> int:
        """Return the earliest time at which a call can be granted as things stand; `now` if it can be granted now."""
        self.day.roll(now, self._recent)
        at = max(now, self.frozen_until, self._paced_ms())
        if len(self.slots) >= self.rate.per_window:
            at = max(at, self.slots[-self.rate.per_window].granted + window_ms)
        if len(self._ends) >= self.rate.ceiling:
            at = max(at, self._ends[-self.rate.ceiling])
        if now < self.external_cap_until and len(self._ends) >= self.external_cap:
            at = max(at, min(self.external_cap_until, self._ends[-self.external_cap]))
        if len(self._open) >= in_flight_limit and self.in_flight(now) >= in_flight_limit:
            oldest = next(slot for slot in self._open.values() if self._in_flight(slot, now))
            at = max(at, oldest.granted + send_within_ms + respond_within_ms)
        return max(at, self.day_allows(now, lane))

    def choose(self, waiting: Collection[Lane]) -> Lane:
        """Return the most urgent waiting lane, unless a lower one was skipped too often."""
        starved = [lane for lane in waiting if self.skipped[lane] >= lower_lane_every - 1]
        return max(starved, key=lambda lane: self.skipped[lane]) if starved else min(waiting)

    def grant(self, now: int, lane: Lane, waiting: Collection[Lane] = ()) -> Permit:
        """Take a slot at `now` and return its permit. Raises ValueError if `free_at` doesn't allow it yet."""
        if self.free_at(now, lane) > now:
            raise ValueError("no slot is free")
        self._forget(now)
        for other, count in enumerate(self.skipped):
            self.skipped[other] = count + 1 if other in waiting and other > lane else 0
        self.paced = max(self.paced, now * self.rate.per_window) + window_ms
        number, slot = self.first + len(self.slots), Slot(now, now + slot_lasts_ms)
        self.slots.append(slot)
        self._open[number] = slot
        insort(self._ends, slot.until)
        self.day.grant(now)
        return Permit(self.location, number, now, now + send_within_ms)

    def complete(self, number: int, now: int, responded: bool) -> bool:
        """Complete a slot whose call is over. After a whole response it is free in 10 s; else it stays to its end.

        Return False if it was completed already.
        """
        if not 0 <= number - self.first < len(self.slots):
            return True  # the call took so long that its slot is dropped already
        slot = self.slots[number - self.first]
        if slot.completed:
            return False
        if responded and slot.until > now + window_ms:
            del self._ends[bisect_left(self._ends, slot.until)]
            slot.until = now + window_ms
            insort(self._ends, slot.until)
        slot.completed = True
        del self._open[number]
        return True

    def observe_headers(self, number: int, headers: RateHeaders, now: int) -> bool:
        """Apply the headers of a completed slot's response. They can only lower the limit.

        Return True when this starts a new period of a lowered limit.
        """
        self.day.observe_headers(headers, self.in_flight(now), now, self._recent)
        ceiling = limit = min(headers.limit or server_limit, server_limit)
        if headers.remaining is not None and 0 <= number - self.first < len(self.slots):
            others = limit - headers.remaining - self._countable(number - self.first)
            if others > 0:  # other programs' calls; as with ours, a tenth of the rest is left for calls we can't see
                ceiling = max(1, (limit - others) * 9 // 10)
        if ceiling >= self.rate.ceiling or (now < self.external_cap_until and ceiling > self.external_cap):
            return False
        starts = now >= self.external_cap_until
        self.external_cap = ceiling
        self.external_cap_until = now + min(headers.interval_ms or window_ms, external_cap_at_most_ms)
        return starts

    def freeze(self, until: int) -> None:
        """Grant nothing before `until`, after a 429."""
        self.frozen_until = max(self.frozen_until, until)

    def granted_in_window(self, now: int) -> int:
        return sum(slot.granted > now - window_ms for slot in self.slots)

    def granted_today(self, now: int) -> int:
        return self.day.granted(now)

    def left_today(self, now: int) -> int:
        return self.day.remaining(now, self.rate.per_day)

    def day_allows(self, now: int, lane: Lane) -> int:
        """Return the earliest time at which the day has a call left for this lane."""
        return self.day.free_at(now, self.rate.per_day, self.rate.reserved_from(lane))

    def done_by(self, calls: int, now: int, lane: Lane) -> int:
        """Estimate when so many calls of this lane will have been granted if no other lane waits. Days are included."""
        share = max(1, self.rate.per_day - self.rate.reserved_from(lane))
        today = max(0, self.left_today(now) - self.rate.reserved_from(lane))
        if calls <= today:
            return now + calls * window_ms // self.rate.per_window
        days, rest = divmod(calls - today - 1, share)
        allowed = self.day_allows(now, lane)
        if allowed <= now:
            allowed = self.day.resets_at if self.day.resets_at > now else now + day_ms
        return allowed + days * day_ms + (rest + 1) * window_ms // self.rate.per_window

    def in_flight(self, now: int) -> int:
        return sum(self._in_flight(slot, now) for slot in self._open.values())

    def idle_by(self, now: int) -> int:
        """Return when the calls in flight will be over and ingested, at the latest; `now` when there are none."""
        last = max((slot.granted for slot in self._open.values()), default=0)
        return max(now, last + send_within_ms + respond_within_ms + ingest_within_ms)

    def encode(self) -> bytes:
        """Return the ledger. Slots are coded by differences: a few hundred bytes for a saturated location."""
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
                **self.unknown,
            }
        )

    @classmethod
    def decode(cls, ledger: bytes | None, location: str, rate: Rate, clock: str, now: int) -> Self:
        """Return the budget that a ledger holds, by whichever worker; a new one for None.

        Times set by another clock count longer. No time lies further ahead than it could have been set: a clock that
        stepped must not park a location.
        """
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
            DailyBudget.decode(stored, longer, now),
            cap,
            min(cap_until + longer, now + external_cap_at_most_ms) if cap else 0,
            {name: value for name, value in stored.items() if name not in ledger_keys},
        )

    def _paced_ms(self) -> int:
        return -((catch_up * window_ms - self.paced) // self.rate.per_window)  # rounded up: never too early

    def _in_flight(self, slot: Slot, now: int) -> bool:
        """True if the call of an open slot may still get a response."""
        return slot.granted + send_within_ms + respond_within_ms > now

    def _recent(self, now: int) -> int:
        """Return how many calls HighLevel may still count."""
        return len(self._ends) - bisect_right(self._ends, now)

    def _countable(self, index: int) -> int:
        """Return how many of our calls the server can have counted, at most, when the call of this slot arrived:
        those that counted here when it was granted, and all that were granted since, which count for longer still."""
        return self._recent(self.slots[index].granted)

    def _forget(self, now: int) -> None:
        """Drop the slots that count no more, but keep those that counted when a call now in flight was granted."""
        now = next((slot.granted for slot in self._open.values() if self._in_flight(slot, now)), now)
        while self.slots and self.slots[0].until <= now and self.slots[0].granted <= now - window_ms:
            self._open.pop(self.first, None)
            del self._ends[bisect_left(self._ends, self.slots.popleft().until)]
            self.first += 1
