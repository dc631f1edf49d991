"""The rate budget of one location: which call may be granted when. Pure: time is an argument, integer milliseconds.

A slot is taken when a call is granted and freed by time alone. Two windows (DESIGN §6.1): calls granted in any 10 s, and
calls not yet 10 s past their answer. The server's window slides over *arrivals*, so the second one is what keeps it from
ever seeing more than its limit, whatever the network does to the calls in between.
"""

from bisect import bisect_left, bisect_right, insort
from collections import deque
from collections.abc import Collection
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final, Self

import orjson

from processor.ratelimit.daily import DailyBudget
from processor.ratelimit.headers import RateHeaders, day_ms

window_ms: Final = 10_000  # contract.md §2: burst limits count per 10 s
server_limit: Final = 100  # contract.md §2: never grant what the server could refuse
send_within_ms: Final = 2_000  # a paused worker must not send an old slot
respond_within_ms: Final = 8_000  # past the send deadline: a request without a whole answer by then is lost
ingest_within_ms: Final = 2_000  # a turn takes up that a call is lost; later, its worker is gone
slot_lasts_ms: Final = send_within_ms + respond_within_ms + window_ms  # the server may have seen it as late as that
skew_ms: Final = 1_000  # clocks of two workers differ by no more (DESIGN §6.1)
in_flight_limit: Final = 20  # a hanging location holds no more connections than this
catch_up: Final = 1  # intervals that a late wake-up may make good; more would bunch calls, and make others wait
lower_lane_every: Final = 20  # a waiting lower lane gets at least 1 call in 20
freeze_limit_ms: Final = 3_601_000  # Retry-After is clamped to an hour (DESIGN §1), and clocks differ
external_cap_at_most_ms: Final = 60_000  # whatever interval an answer names, its word on the burst holds no longer


class Lane(IntEnum):
    """How urgent a call is; smaller is sooner."""

    INTERACTIVE = 0
    CHANGE = 1
    JOB = 2
    BACKFILL = 3

    @property
    def label(self) -> str:
        return lane_labels[self]


every_lane: Final = tuple(Lane)
lane_labels: Final = tuple(lane.name.lower() for lane in every_lane)


@dataclass(frozen=True, slots=True)
class Rate:
    """What a location may spend: calls per 10 s as granted by us, and per day."""

    per_window: int = 90
    per_day: int = 200_000
    reserve: float = 0.1  # the share of the day that is kept from jobs and backfills

    @property
    def ceiling(self) -> int:
        """Most calls that may be granted and not yet 10 s past their answer: what the server could count."""
        return min(server_limit, self.per_window * 10 // 9)

    def reserved_from(self, lane: Lane) -> int:
        """Calls of the day that this lane must leave to others."""
        return int(self.per_day * self.reserve) if lane >= Lane.JOB else 0


@dataclass(frozen=True, slots=True)
class Permit:
    """The right to put one request on the wire, not later than `send_by`. Times in ms since 1970."""

    location: str
    slot: int
    granted: int
    send_by: int


@dataclass(slots=True)
class Slot:
    granted: int
    until: int  # counts in the second window up to here
    completed: bool = False  # its call is over: answered, lost, or never sent


@dataclass(slots=True)
class Budget:
    """The state of one location's budget. `decode` and `encode` are its journalled form, the ledger."""

    location: str
    rate: Rate
    clock: str  # whose clock the times are by; slots of another one count `skew_ms` longer
    first: int = 0  # number of slots[0]; numbers are contiguous
    slots: deque[Slot] = field(default_factory=deque)
    paced: int = 0  # when an evenly spaced next call would be due, in 1/per_window ms: 10,000 / 90 isn't whole
    frozen_until: int = 0
    skipped: list[int] = field(default_factory=lambda: [0] * len(Lane))  # grants that went by a waiting lane
    day: DailyBudget = field(default_factory=DailyBudget)
    external_cap: int = 0  # HighLevel counts others' calls too, or has a lower limit: a ceiling for an interval
    external_cap_until: int = 0
    _ends: list[int] = field(init=False)  # each slot's `until`, sorted
    _in_flight_slots: dict[int, Slot] = field(init=False)  # those that have not landed, by number, in their order

    def __post_init__(self) -> None:
        self._ends = sorted(slot.until for slot in self.slots)
        self._in_flight_slots = {
            number: slot for number, slot in enumerate(self.slots, self.first) if not slot.completed
        }

    def free_at(self, now: int, lane: Lane = Lane.INTERACTIVE) -> int:
        """The earliest time at which a call can be granted as things stand; `now` when one can be granted now."""
        self.day.roll(now, self._recent)
        at = max(now, self.frozen_until, self._paced_ms())
        if len(self.slots) >= self.rate.per_window:
            at = max(at, self.slots[-self.rate.per_window].granted + window_ms)
        if len(self._ends) >= self.rate.ceiling:
            at = max(at, self._ends[-self.rate.ceiling])
        if now < self.external_cap_until and len(self._ends) >= self.external_cap:
            at = max(at, min(self.external_cap_until, self._ends[-self.external_cap]))
        if len(self._in_flight_slots) >= in_flight_limit and self.in_flight(now) >= in_flight_limit:
            oldest = next(slot for slot in self._in_flight_slots.values() if self._in_flight(slot, now))
            at = max(at, oldest.granted + send_within_ms + respond_within_ms)
        return max(at, self.day.free_at(now, self.rate.per_day, self.rate.reserved_from(lane)))

    def choose(self, waiting: Collection[Lane]) -> Lane:
        """Whose turn it is among the lanes that wait: the most urgent, unless a lower one was passed too often."""
        starved = [lane for lane in waiting if self.skipped[lane] >= lower_lane_every - 1]
        return max(starved, key=lambda lane: self.skipped[lane]) if starved else min(waiting)

    def grant(self, now: int, lane: Lane, waiting: Collection[Lane] = ()) -> Permit:
        """Take a slot at `now`, which `free_at` must have allowed."""
        if self.free_at(now, lane) > now:
            raise ValueError("no slot is free")
        self._forget(now)
        for other in every_lane:
            self.skipped[other] = self.skipped[other] + 1 if other in waiting and other > lane else 0
        self.paced = max(self.paced, now * self.rate.per_window) + window_ms
        number, slot = self.first + len(self.slots), Slot(now, now + slot_lasts_ms)
        self.slots.append(slot)
        self._in_flight_slots[number] = slot
        insort(self._ends, slot.until)
        self.day.grant(now)
        return Permit(self.location, number, now, now + send_within_ms)

    def complete(self, number: int, now: int, responded: bool) -> bool:
        """The call is over. After a whole response its slot is freed 10 s from now; without one it stays to its end.
        False: that was known already."""
        if not 0 <= number - self.first < len(self.slots):
            return True  # the slot is forgotten, as nobody heard of the call for long
        slot = self.slots[number - self.first]
        if slot.completed:
            return False
        if responded and slot.until > now + window_ms:
            del self._ends[bisect_left(self._ends, slot.until)]
            slot.until = now + window_ms
            insort(self._ends, slot.until)
        slot.completed = True
        del self._in_flight_slots[number]
        return True

    def observe_headers(self, number: int, said: RateHeaders, now: int) -> bool:
        """The headers of this slot's answer; it has landed. They only tighten; whether they did so after a while without."""
        self.day.observe_headers(said, self.in_flight(now), now, self._recent)
        limit = min(said.limit or server_limit, server_limit)
        ceiling, index = limit, number - self.first
        if said.remaining is not None and 0 <= index < len(self.slots):
            others = limit - said.remaining - self._countable(index)
            if others > 0:  # other programs' calls; as with ours, a tenth of the rest is left for what we can't see
                ceiling = max(1, (limit - others) * 9 // 10)
        if ceiling >= self.rate.ceiling or (now < self.external_cap_until and ceiling > self.external_cap):
            return False
        anew = now >= self.external_cap_until
        self.external_cap, self.external_cap_until = (
            ceiling,
            now + min(said.interval_ms or window_ms, external_cap_at_most_ms),
        )
        return anew

    def freeze(self, until: int) -> None:
        """A 429: nothing is granted before `until`."""
        self.frozen_until = max(self.frozen_until, until)

    def granted_in_window(self, now: int) -> int:
        return sum(slot.granted > now - window_ms for slot in self.slots)

    def granted_today(self, now: int) -> int:
        return self.day.sent(now)

    def left_today(self, now: int) -> int:
        return self.day.remaining(now, self.rate.per_day)

    def day_allows(self, now: int, lane: Lane) -> int:
        """The earliest time at which the day has a call left for this lane."""
        return self.day.free_at(now, self.rate.per_day, self.rate.reserved_from(lane))

    def done_by(self, calls: int, now: int, lane: Lane) -> int:
        """When so many calls of this lane can be granted if nothing else is asked: an estimate, days included."""
        share = max(1, self.rate.per_day - self.rate.reserved_from(lane))
        today = max(0, self.left_today(now) - self.rate.reserved_from(lane))
        if calls <= today:
            return now + calls * window_ms // self.rate.per_window
        days, rest = divmod(calls - today - 1, share)
        spent = self.day_allows(now, lane)
        anew = spent if spent > now else max(now, self.day.resets_at) if self.day.resets_at > now else now + day_ms
        return anew + days * day_ms + (rest + 1) * window_ms // self.rate.per_window

    def in_flight(self, now: int) -> int:
        return sum(self._in_flight(slot, now) for slot in self._in_flight_slots.values())

    def idle_by(self, now: int) -> int:
        """When the calls now in flight will be over, answered or not, and that heard of; `now` when there are none."""
        last = max((slot.granted for slot in self._in_flight_slots.values()), default=0)
        return max(now, last + send_within_ms + respond_within_ms + ingest_within_ms)

    def encode(self) -> bytes:
        """The ledger. Slots are coded by differences: a few hundred bytes for a saturated location."""
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
        """Read a ledger, whoever wrote it. Times set by another clock count longer, and none lies further ahead than it
        could have been set: a stepped clock must not park a location."""
        if ledger is None:
            return cls(location, rate, clock)
        stored = orjson.loads(ledger)
        longer = 0 if stored["clock"] == clock else skew_ms
        slots, granted, coded, furthest = deque[Slot](), longer, iter(stored["slots"]), now + slot_lasts_ms + skew_ms
        for since_last, lasts, landed in zip(coded, coded, coded, strict=True):
            granted += since_last
            slot = Slot(granted, granted + lasts, landed == 1)
            if granted > now:
                slot.granted = now
            if slot.until > furthest:
                slot.until = furthest
            slots.append(slot)
        paced = stored["paced"] * rate.per_window // stored["rate"] + longer * rate.per_window
        tight, tight_until = stored.get("tight") or (0, 0)
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
            tight,
            min(tight_until + longer, now + external_cap_at_most_ms) if tight else 0,
        )

    def _paced_ms(self) -> int:
        return -((catch_up * window_ms - self.paced) // self.rate.per_window)  # rounded up: never before its time

    def _in_flight(self, slot: Slot, now: int) -> bool:
        """Of one that has not landed: nobody knows it to be over."""
        return slot.granted + send_within_ms + respond_within_ms > now

    def _recent(self, now: int) -> int:
        """Calls that HighLevel may count yet."""
        return len(self._ends) - bisect_right(self._ends, now)

    def _countable(self, index: int) -> int:
        """Most of our calls that the server can have counted when this one arrived: those that counted here when it was
        granted, and all that were granted since, which count for longer still."""
        return self._recent(self.slots[index].granted)

    def _forget(self, now: int) -> None:
        """Slots that count no more, but for those that counted when a call now in flight was granted."""
        now = next((slot.granted for slot in self._in_flight_slots.values() if self._in_flight(slot, now)), now)
        while self.slots and self.slots[0].until <= now and self.slots[0].granted <= now - window_ms:
            self._in_flight_slots.pop(self.first, None)
            del self._ends[bisect_left(self._ends, self.slots.popleft().until)]
            self.first += 1
