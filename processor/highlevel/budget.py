"""The rate budget of one location: which call may be granted when. Pure: time is an argument, integer milliseconds.

A slot is taken when a call is granted and freed by time alone. Two windows (DESIGN §6.1): calls granted in any 10 s,
and calls not
yet 10 s past their answer. The server's window slides over *arrivals*, so the second one is what keeps it from ever
seeing more
than its limit, whatever the network does to the calls in between.
"""

from collections import deque
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Final, Self

import orjson

window_ms: Final = 10_000  # contract.md §2: burst limits count per 10 s
server_limit: Final = 100  # contract.md §2: never grant what the server could refuse
send_within_ms: Final = 2_000  # a paused worker must not send an old slot
answer_within_ms: Final = 8_000  # past the send deadline: a request without a whole answer by then is lost
unanswered_ms: Final = send_within_ms + answer_within_ms + window_ms  # the server may have seen it as late as that
skew_ms: Final = 1_000  # clocks of two workers differ by no more (DESIGN §6.1)
in_flight_limit: Final = 20  # a hanging location holds no more connections than this
catch_up: Final = (
    1  # intervals that a late wake-up may make good; more would bunch calls and leave gaps to interactive ones
)
lower_lane_every: Final = 20  # a waiting lower lane gets at least 1 call in 20
hour_ms: Final = 3_600_000
day_buckets: Final = 25  # hourly, one more than a day: safe for any reset hour
freeze_limit_ms: Final = hour_ms + 1_000  # Retry-After is clamped to an hour, jitter comes on top

Lane = int
interactive, change, job, backfill = lanes = range(4)
lane_names: Final = ("interactive", "change", "job", "backfill")


@dataclass(frozen=True, slots=True)
class Rate:
    """What a location may spend: calls per 10 s as granted by us, and per day."""

    per_window: int = 90
    per_day: int = 200_000

    @property
    def ceiling(self) -> int:
        """Most calls that may be granted and not yet 10 s past their answer: what the server could count."""
        return min(server_limit, self.per_window * 10 // 9)


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
    answered: bool = False


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
    passed: list[int] = field(default_factory=lambda: [0] * len(lanes))  # grants that went by a waiting lane
    hours: dict[int, int] = field(default_factory=dict)  # hour since 1970 → calls granted in it

    def free_at(self, now: int) -> int:
        """The earliest time at which a call can be granted as things stand; `now` when one can be granted now."""
        self._forget(now)
        at = max(now, self.frozen_until, self._paced_ms())
        if len(self.slots) >= self.rate.per_window:
            at = max(at, self.slots[-self.rate.per_window].granted + window_ms)
        counted = [slot.until for slot in self.slots if slot.until > now]
        if len(counted) >= self.rate.ceiling:
            at = max(at, sorted(counted)[len(counted) - self.rate.ceiling])
        in_flight = [slot.granted for slot in self.slots if self._in_flight(slot, now)]
        if len(in_flight) >= in_flight_limit:
            at = max(at, in_flight[0] + send_within_ms + answer_within_ms)
        if self.sent_today(now) >= self.rate.per_day:
            at = max(at, (min(self.hours) + day_buckets) * hour_ms)
        return at

    def choose(self, waiting: Collection[Lane]) -> Lane:
        """Whose turn it is among the lanes that wait: the most urgent, unless a lower one was passed too often."""
        starved = [lane for lane in waiting if self.passed[lane] >= lower_lane_every - 1]
        return max(starved, key=lambda lane: self.passed[lane]) if starved else min(waiting)

    def grant(self, now: int, lane: Lane, waiting: Collection[Lane] = ()) -> Permit:
        """Take a slot at `now`, which `free_at` must have allowed."""
        if self.free_at(now) > now:
            raise ValueError("no slot is free")
        for other in lanes:
            self.passed[other] = self.passed[other] + 1 if other in waiting and other > lane else 0
        self.paced = max(self.paced, now * self.rate.per_window) + window_ms
        self.slots.append(Slot(now, now + unanswered_ms))
        hour = now // hour_ms
        self.hours[hour] = self.hours.get(hour, 0) + 1
        return Permit(self.location, self.first + len(self.slots) - 1, now, now + send_within_ms)

    def answered(self, number: int, now: int) -> None:
        """A whole response came: the slot is freed 10 s from now. Without one it stays to its end."""
        if not 0 <= number - self.first < len(self.slots):
            return
        slot = self.slots[number - self.first]
        if not slot.answered:
            slot.answered, slot.until = True, min(slot.until, now + window_ms)

    def freeze(self, until: int) -> None:
        """A 429: nothing is granted before `until`."""
        self.frozen_until = max(self.frozen_until, until)

    def sent_in_window(self, now: int) -> int:
        return sum(slot.granted > now - window_ms for slot in self.slots)

    def sent_today(self, now: int) -> int:
        oldest = now // hour_ms - day_buckets + 1
        if any(hour < oldest for hour in self.hours):
            self.hours = {hour: count for hour, count in self.hours.items() if hour >= oldest}
        return sum(self.hours.values())

    def in_flight(self, now: int) -> int:
        return sum(self._in_flight(slot, now) for slot in self.slots)

    def encode(self) -> bytes:
        """The ledger. Slots are coded by differences: a few hundred bytes for a saturated location."""
        coded, last = [], 0
        for slot in self.slots:
            coded += [slot.granted - last, slot.until - slot.granted, int(slot.answered)]
            last = slot.granted
        return orjson.dumps(
            {
                "clock": self.clock,
                "rate": self.rate.per_window,
                "first": self.first,
                "slots": coded,
                "paced": self.paced,
                "frozen_until": self.frozen_until,
                "passed": self.passed,
                "hours": [[hour, count] for hour, count in self.hours.items()],
            }
        )

    @classmethod
    def decode(cls, ledger: bytes | None, location: str, rate: Rate, clock: str, now: int) -> Self:
        """Read a ledger, whoever wrote it. Times set by another clock count longer, and none lies further ahead than
        it could
        have been set: a stepped clock must not park a location."""
        if ledger is None:
            return cls(location, rate, clock)
        stored = orjson.loads(ledger)
        longer = 0 if stored["clock"] == clock else skew_ms
        slots, granted, coded = deque[Slot](), 0, iter(stored["slots"])
        for since_last, lasts, answered in zip(coded, coded, coded, strict=True):
            granted += since_last
            until = min(granted + lasts + longer, now + unanswered_ms + skew_ms)
            slots.append(Slot(min(granted + longer, now), until, bool(answered)))
        paced = stored["paced"] * rate.per_window // stored["rate"] + longer * rate.per_window
        furthest = now * rate.per_window + (catch_up + 1) * window_ms
        return cls(
            location,
            rate,
            clock,
            stored["first"],
            slots,
            min(paced, furthest),
            min(stored["frozen_until"] + longer * bool(stored["frozen_until"]), now + freeze_limit_ms),
            stored["passed"],
            dict(stored["hours"]),
        )

    def _paced_ms(self) -> int:
        return -((catch_up * window_ms - self.paced) // self.rate.per_window)  # rounded up: never before its time

    def _in_flight(self, slot: Slot, now: int) -> bool:
        return not slot.answered and slot.granted + send_within_ms + answer_within_ms > now

    def _forget(self, now: int) -> None:
        while self.slots and self.slots[0].until <= now and self.slots[0].granted <= now - window_ms:
            self.slots.popleft()
            self.first += 1
