"""The daily budget counts a location's calls of the last 24 hours and keeps what HighLevel's headers report (DESIGN §6.1).

No document says when HighLevel's day begins: hourly buckets of the last 25 hours are safe for any hour. Where a header
names the reset (`Daily-Reset`), the buckets are cleared at that moment. A reported remainder can only lower ours, until
HighLevel's day ends. Pure.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Self

from processor.ratelimit.headers import RateHeaders, one_day_ms

hour_ms: Final = 3_600_000
buckets: Final = 25  # hourly, one more than a day: safe for any reset hour
cleared_every_ms: Final = 23 * hour_ms  # at most once: a wrong header must not open the day again and again
late_ms: Final = 10_000  # a response travels no longer, so our time of the day's end is at most that late
left_holds_ms: Final = hour_ms  # a reported remainder without a reset time holds so long; then one call asks again


@dataclass(slots=True)
class DailyBudget:
    """The state of one location's daily budget. Times are ms since 1970, by the clock of the location's owner."""

    hours: dict[int, int] = field(default_factory=dict)  # hour since 1970 → calls granted in it
    left: int | None = None  # calls that HighLevel reported as left, less those granted since; None: not reported
    left_until: int = 0
    resets_at: int = 0  # the end of HighLevel's day as it reported it; 0: not reported
    cleared: int = 0  # when the buckets were cleared last

    def grant(self, now: int) -> None:
        """Count a call granted at `now`."""
        hour = now // hour_ms
        self.hours[hour] = self.hours.get(hour, 0) + 1
        if self.left is not None:
            self.left = max(0, self.left - 1)

    def granted(self, now: int) -> int:
        """Return the calls granted since the day began, as far as its begin is known."""
        oldest = now // hour_ms - buckets + 1
        if min(self.hours, default=oldest) < oldest:
            self.hours = {hour: count for hour, count in self.hours.items() if hour >= oldest}
        return sum(self.hours.values())

    def remaining(self, now: int, per_day: int) -> int:
        """Return the calls that may still be granted."""
        ours = max(0, per_day - self.granted(now))
        return ours if self.left is None else min(ours, self.left)

    def observe_headers(self, headers: RateHeaders, in_flight: int, now: int, recent: Callable[[int], int]) -> None:
        """Apply a response's daily headers. They may not count the calls in flight yet."""
        if headers.daily_reset_ms is not None:
            resets_at = now + headers.daily_reset_ms
            if self.resets_at and self.resets_at <= now + late_ms and resets_at > self.resets_at + one_day_ms // 2:
                self._end(now, recent)  # the day is over: our time of its end was as late as the response that gave it
            self.resets_at = resets_at
        if headers.daily_remaining is not None:
            left = max(0, headers.daily_remaining - in_flight)
            self.left = left if self.left is None else min(self.left, left)
            self.left_until = self.resets_at if self.resets_at > now else now + left_holds_ms

    def roll(self, now: int, recent: Callable[[int], int]) -> None:
        """Let time pass. `recent(now)` calls may still be on their way, and so count in HighLevel's new day."""
        if self.left is not None and now >= self.left_until:
            self.left = None
        if self.resets_at and now >= self.resets_at:
            self._end(now, recent)
            self.resets_at = 0

    def _end(self, now: int, recent: Callable[[int], int]) -> None:
        """End HighLevel's day: its reports hold no more."""
        self.left = None
        if now - self.cleared >= cleared_every_ms:
            carried_over = recent(now)
            self.hours, self.cleared = {now // hour_ms: carried_over} if carried_over else {}, now

    def free_at(self, now: int, per_day: int, reserved: int) -> int:
        """Return the earliest time at which a call can be granted that leaves `reserved` calls of the day to others."""
        at = now
        over = self.granted(now) + reserved + 1 - per_day
        if over > 0:
            for hour in sorted(self.hours):
                over -= self.hours[hour]
                at = (hour + buckets) * hour_ms
                if over <= 0:
                    break
        if over > 0:
            at = max(at, now + one_day_ms)  # the whole day is reserved
        if self.left is not None and self.left <= reserved:
            at = max(at, self.left_until)
        if at > now and self.resets_at > now and self.resets_at - self.cleared >= cleared_every_ms:
            at = min(at, self.resets_at)
        return at

    def encode(self) -> dict[str, object]:
        """Return the daily part of the ledger."""
        hours = [[hour, count] for hour, count in self.hours.items()]
        return {"hours": hours, "told": [self.left, self.left_until, self.resets_at, self.cleared]}

    @classmethod
    def decode(cls, hours: list[list[int]], reported: list[int | None], longer: int, now: int) -> Self:
        """Read the daily part of a ledger. Times set by another clock lie `longer` ms later.

        No time lies further ahead than it could have been set.
        """
        left, *times = reported
        left_until, resets_at, cleared = (time or 0 for time in times)
        latest, counted = now // hour_ms, dict[int, int]()
        for hour, count in hours:
            counted[min(hour, latest)] = counted.get(min(hour, latest), 0) + count
        return cls(
            counted,
            left,
            min(left_until + longer, now + one_day_ms),
            min(resets_at + longer, now + one_day_ms) if resets_at else 0,
            min(cleared, now),
        )
