"""A location's day: what was spent in the last 24 hours, and what HighLevel says is left (DESIGN §6.1). Pure.

Nobody documents when HighLevel's day begins: hourly buckets of the last 25 hours are safe for any hour. Where it says so
itself (`Daily-Reset`), they are cleared at that moment. What it says is left only tightens, until its day ends.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Self

from processor.ratelimit.headers import RateHeaders, day_ms

hour_ms: Final = 3_600_000
buckets: Final = 25  # hourly, one more than a day: safe for any reset hour
cleared_every_ms: Final = 23 * hour_ms  # at most once: a wrong header must not open the day again and again
late_ms: Final = 10_000  # an answer is on its way no longer: so late is what we know of the day's end
left_holds_ms: Final = hour_ms  # where HighLevel says what is left, but not until when: then one call asks again


@dataclass(slots=True)
class DailyBudget:
    """Times in ms since 1970, by the clock of whoever owns the location."""

    hours: dict[int, int] = field(default_factory=dict)  # hour since 1970 → calls granted in it
    left: int | None = None  # what HighLevel said was left, less what was granted since; None: it didn't say
    left_until: int = 0
    resets_at: int = 0  # when HighLevel said that its day ends; 0: it didn't say
    cleared: int = 0

    def grant(self, now: int) -> None:
        hour = now // hour_ms
        self.hours[hour] = self.hours.get(hour, 0) + 1
        if self.left is not None:
            self.left = max(0, self.left - 1)

    def sent(self, now: int) -> int:
        """Calls granted since the day began, as far as we know when it did."""
        oldest = now // hour_ms - buckets + 1
        if min(self.hours, default=oldest) < oldest:
            self.hours = {hour: count for hour, count in self.hours.items() if hour >= oldest}
        return sum(self.hours.values())

    def remaining(self, now: int, per_day: int) -> int:
        """Calls that may be granted yet."""
        ours = max(0, per_day - self.sent(now))
        return ours if self.left is None else min(ours, self.left)

    def observe_headers(self, said: RateHeaders, in_flight: int, now: int, recent: Callable[[int], int]) -> None:
        """An answer's headers. Calls in flight may not be counted in them yet."""
        if said.daily_reset_ms is not None:
            resets_at = now + said.daily_reset_ms
            if self.resets_at and self.resets_at <= now + late_ms and resets_at > self.resets_at + day_ms // 2:
                self._end(now, recent)  # it is over: what we knew of its end was as late as the answer that told it
            self.resets_at = resets_at
        if said.daily_remaining is not None:
            left = max(0, said.daily_remaining - in_flight)
            self.left = left if self.left is None else min(self.left, left)
            self.left_until = self.resets_at if self.resets_at > now else now + left_holds_ms

    def roll(self, now: int, recent: Callable[[int], int]) -> None:
        """Time passes. `recent(now)` calls may still be on their way, and so count in HighLevel's new day."""
        if self.left is not None and now >= self.left_until:
            self.left = None
        if self.resets_at and now >= self.resets_at:
            self._end(now, recent)
            self.resets_at = 0

    def _end(self, now: int, recent: Callable[[int], int]) -> None:
        """Of HighLevel's day: what it said of it holds no more."""
        self.left = None
        if now - self.cleared >= cleared_every_ms:
            still = recent(now)
            self.hours, self.cleared = {now // hour_ms: still} if still else {}, now

    def free_at(self, now: int, per_day: int, kept: int) -> int:
        """The earliest time at which a call can be granted that leaves `kept` ones of the day to others."""
        at = now
        over = self.sent(now) + kept + 1 - per_day
        if over > 0:
            for hour in sorted(self.hours):
                over -= self.hours[hour]
                at = (hour + buckets) * hour_ms
                if over <= 0:
                    break
        if over > 0:
            at = max(at, now + day_ms)  # whatever is kept for others is the whole day
        if self.left is not None and self.left <= kept:
            at = max(at, self.left_until)
        if at > now and self.resets_at > now and self.resets_at - self.cleared >= cleared_every_ms:
            at = min(at, self.resets_at)
        return at

    def encode(self) -> dict[str, object]:
        hours = [[hour, count] for hour, count in self.hours.items()]
        return {"hours": hours, "told": [self.left, self.left_until, self.resets_at, self.cleared]}

    @classmethod
    def decode(cls, hours: list[list[int]], told: list[int | None], longer: int, now: int) -> Self:
        """Times set by another clock lie `longer` ms later, and none further ahead than it could have been set."""
        left, *times = told
        left_until, resets_at, cleared = (time or 0 for time in times)
        latest, counted = now // hour_ms, dict[int, int]()
        for hour, count in hours:
            counted[min(hour, latest)] = counted.get(min(hour, latest), 0) + count
        return cls(
            counted,
            left,
            min(left_until + longer, now + day_ms),
            min(resets_at + longer, now + day_ms) if resets_at else 0,
            min(cleared, now),
        )
