"""A location's document: how it stands with HighLevel, and what was last reported of that."""

from dataclasses import dataclass
from typing import Final, Self

import orjson

from processor.highlevel.budget import Budget
from processor.shard.lead import Lead
from processor.shard.ledger import Ledger
from processor.shard.setup import Setup
from processor.shard.state import Changes, Projection, nothing

report_every_ms: Final = 10_000  # DESIGN §3, location.status: at most so often while nothing changes
trial_every_ms: Final = 600_000  # one call each 10 minutes tries whether the location is cured


@dataclass(slots=True)
class Location:
    id: str
    blocked_until: int | None = None  # ms of the next trial call; None: authorized
    blocked_by: str | None = None  # what HighLevel said of the token
    state: str = "ok"  # as last reported
    since: int = 0
    reported: int = 0
    was_busy: bool = False

    @property
    def key(self) -> str:
        return f"location {self.id}"

    def block(self, now: int, why: str) -> None:
        """HighLevel refused our token: the whole location pauses, but for a trial call now and then."""
        self.blocked_until, self.blocked_by = now + trial_every_ms, why

    def unblock(self) -> None:
        self.blocked_until = self.blocked_by = None

    def standing(self, budget: Budget, now: int) -> tuple[str, str | None, int | None]:
        """State, reason, and until when (ms)."""
        if self.blocked_until is not None:
            return "unauthorized", self.blocked_by, self.blocked_until
        if budget.frozen_until > now:
            return "throttled", None, budget.frozen_until
        if budget.sent_today(now) >= budget.rate.per_day:
            return "daily_budget", None, budget.free_at(now)
        return "ok", None, None

    def projection(self) -> Projection:
        """What was said of a busy or ailing location is said again, or taken back, before long."""
        return Projection(at=self.reported + report_every_ms) if self.was_busy or self.state != "ok" else nothing

    def encode(self) -> bytes:
        return orjson.dumps({name: value for name in stored if (value := getattr(self, name))})

    @classmethod
    def decode(cls, location: str, stored: bytes) -> Self:
        return cls(location, **orjson.loads(stored))

    @classmethod
    def of(cls, changes: Changes, location: str) -> Self:
        return changes.document(
            f"location {location}", lambda stored: cls.decode(location, stored) if stored else cls(location)
        )


stored: Final = tuple(name for name in Location.__slots__ if name != "id")


def held_by(changes: Changes, setup: Setup, lead: Lead, now: int) -> str:
    """Why a request of this lead wasn't answered in time."""
    budget = Ledger.of(changes, setup, lead.location, now).budget
    state, _, _ = Location.of(changes, lead.location).standing(budget, now)
    if state != "ok":
        return state
    return "unavailable" if lead.open and lead.open.attempts else "deadline"
