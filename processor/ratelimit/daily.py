"""A location's day counts the calls of the last 24 hours and keeps how many calls HighLevel reports as left (DESIGN §6.1). Pure.

No document says when HighLevel's day begins: hourly buckets of the last 25 hours are safe for any hour. Where HighLevel
names the hour itself (`Daily-Reset`), the buckets are cleared then. Its headers can only lower what is left, until its
day ends.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Self

from processor.ratelimit.headers import RateHeaders, day_ms

hour_ms: Final = 3_600_000
buckets: Final = 25  # hourly, one more than a day has: safe for any reset hour
cleared_every_ms: Final = 23 * hour_ms  # at most once: a wrong header must not open the day again and again
late_ms: Final = 10_000  # a response travels no longer: the known end of the day is late by so much at most
daily_keys: Final = frozenset({"hours", "told"})  # of the ledger, whose stored names never change
left_holds_ms: Final = hour_ms  # a reported remainder without a reset time holds so long; then a call finds out


@dataclass(slots=True)
class DailyBudget:
    """A daily budget limits a location's calls per day. Times are ms since 1970, by the clock of the location's owner."""

    hours: dict[int, int] = field(default_factory=dict)  # hour since 1970 → calls granted in it
    left: int | None = None  # calls left by HighLevel's headers, less those granted since; None: unknown
    left_until: int = 0
    resets_at: int = 0  # end of HighLevel's day by its headers; 0: unknown
    cleared: int = 0  # when the buckets were cleared last

    def grant(self, now: int) -> None:
        """Count a granted call."""
        hour = now // hour_ms
        self.hours[hour] = self.hours.get(hour, 0) + 1
        if self.left is not None:
            self.left = max(0, self.left - 1)

    def granted(self, now: int) -> int:
        """Return how many calls were granted since the day began, as far as its beginning is known."""
        oldest = now // hour_ms - buckets + 1
        if min(self.hours, default=oldest) < oldest:
            self.hours = {hour: count for hour, count in self.hours.items() if hour >= oldest}
        return sum(self.hours.values())

    def remaining(self, now: int, per_day: int) -> int:
        """Return how many calls may still be granted."""
        ours = max(0, per_day - self.granted(now))
        return ours if self.left is None else min(ours, self.left)

    def observe_headers(self, headers: RateHeaders, in_flight: int, now: int, recent: Callable[[int], int]) -> None:
        """Apply a response's headers. They may not count the calls in flight yet."""
        if headers.daily_reset_ms is not None:
            resets_at = now + headers.daily_reset_ms
            if self.resets_at and self.resets_at <= now + late_ms and resets_at > self.resets_at + day_ms // 2:
                self._end(now, recent)  # it is over: the known end was as late as the response that named it
            self.resets_at = resets_at
        if headers.daily_remaining is not None:
            left = max(0, headers.daily_remaining - in_flight)
            self.left = left if self.left is None else min(self.left, left)
            self.left_until = self.resets_at if self.resets_at > now else now + left_holds_ms

    def roll(self, now: int, recent: Callable[[int], int]) -> None:
        """End the day if its time has come. `recent(now)` calls may still travel and then count in the new day."""
        if self.left is not None and now >= self.left_until:
            self.left = None
        if self.resets_at and now >= self.resets_at:
            self._end(now, recent)
            self.resets_at = 0

    def _end(self, now: int, recent: Callable[[int], int]) -> None:
        """Forget HighLevel's reports of the day that is over, and clear the count at most once in 23 h."""
        self.left = None
        if now - self.cleared >= cleared_every_ms:
            travelling = recent(now)
            self.hours, self.cleared = {now // hour_ms: travelling} if travelling else {}, now

    def free_at(self, now: int, per_day: int, reserved: int) -> int:
        """Return the earliest time at which a call can be granted that leaves `reserved` calls of the day."""
        at = now
        over = self.granted(now) + reserved + 1 - per_day
        if over > 0:
            for hour in sorted(self.hours):
                over -= self.hours[hour]
                at = (hour + buckets) * hour_ms
                if over <= 0:
                    break
        if over > 0:
            at = max(at, now + day_ms)  # the whole day is reserved
        if self.left is not None and self.left <= reserved:
            at = max(at, self.left_until)
        if at > now and self.resets_at > now and self.resets_at - self.cleared >= cleared_every_ms:
            at = min(at, self.resets_at)
        return at

    def encode(self) -> dict[str, object]:
        """Return the day's part of the ledger."""
        hours = [[hour, count] for hour, count in self.hours.items()]
        return {"hours": hours, "told": [self.left, self.left_until, self.resets_at, self.cleared]}

    @classmethod
    def decode(cls, ledger: Mapping[str, Any], longer: int, now: int) -> Self:
        """Return the day that a ledger holds.

        Times set by another clock lie `longer` ms later. No time lies further ahead than it could have been set.
        """
        left, left_until, resets_at, cleared = ledger.get("told", (None, 0, 0, 0))
        latest, counted = now // hour_ms, dict[int, int]()
        for hour, count in ledger["hours"]:
            counted[min(hour, latest)] = counted.get(min(hour, latest), 0) + count
        return cls(
            counted,
            left,
            min(left_until + longer, now + day_ms),
            min(resets_at + longer, now + day_ms) if resets_at else 0,
            min(cleared, now),
        )
