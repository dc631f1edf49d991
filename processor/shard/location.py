"""A location's document: how it stands with HighLevel, and what was last reported of that."""

from dataclasses import dataclass, field
from typing import Any, Final, Self

import orjson

from processor.ratelimit.budget import Budget
from processor.ratelimit.circuit_breaker import CircuitBreaker
from processor.ratelimit.jitter import jittered
from processor.shard.lead import Lead
from processor.shard.ledger import Ledger
from processor.shard.setup import Setup
from processor.shard.state import Changes
from processor.shard.tables import Projection, nothing

report_every_ms: Final = 10_000  # DESIGN §3, location.status: at most so often while nothing changes
trial_every_ms: Final = 600_000  # one call each 10 minutes tries whether the location is cured
trial_asked_ms: Final = 60_000  # and at most one a minute when a Sync asks


@dataclass(slots=True)
class Pause:
    """HighLevel refuses our token: nothing is sent but a trial now and then, until another token is there."""

    why: str  # what HighLevel said of it
    tried: int  # ms, when a call was granted last
    token: str | None = None  # fingerprint of the one that was refused; None: there was none


@dataclass(slots=True)
class Location:
    id: str
    pause: Pause | None = None
    breaker: CircuitBreaker = field(default_factory=CircuitBreaker)
    no_messages_since: int = 0  # ms, when HighLevel last said that the token's scope lacks messages
    state: str = "ok"  # as last reported
    since: int = 0
    reported: int = 0
    was_busy: bool = False

    @property
    def key(self) -> str:
        return f"location {self.id}"

    def free_at(self, budget: Budget, now: int, asked: bool) -> int:
        """When its next call may be granted, as far as it depends on how HighLevel treats us. `asked`: a Sync waits."""
        if self.pause:
            return self.pause.tried + (trial_asked_ms if asked else trial_every_ms)
        return max(self.breaker.probe_at, budget.idle_by(now)) if self.breaker.open else now

    def serves_messages(self, now: int, asked: bool) -> bool:
        """Whether messages may be asked for; while the token's scope lacks them, now and then a call tries."""
        wait = trial_asked_ms if asked else trial_every_ms
        return not self.no_messages_since or now >= self.no_messages_since + wait

    def failed(self, granted: int, slot: int, now: int) -> None:
        """A call granted then brought no answer, or none that says anything."""
        self.breaker.fail(granted, now + jittered(self.breaker.delay_ms, self.key, slot))

    def standing(self, budget: Budget, now: int) -> tuple[str, str | None, int | None]:
        """State, reason, and until when (ms)."""
        if self.pause:
            return "unauthorized", self.pause.why, self.pause.tried + trial_every_ms
        if self.breaker.open:
            return "unavailable", None, self.breaker.probe_at
        if budget.frozen_until > now:
            return "throttled", None, budget.frozen_until
        if not budget.left_today(now):
            return "daily_budget", None, budget.free_at(now)
        return "ok", None, None

    def projection(self) -> Projection:
        """What was said of a busy or ailing location is said again, or taken back, before long."""
        return Projection(at=self.reported + report_every_ms) if self.was_busy or self.state != "ok" else nothing

    def encode(self) -> bytes:
        return orjson.dumps({name: value for name in stored if (value := getattr(self, name)) != defaults[name]})

    @classmethod
    def decode(cls, location: str, document: bytes) -> Self:
        read: dict[str, Any] = orjson.loads(document)  # JSON is untyped
        pause, breaker = read.pop("pause", None), read.pop("breaker", {})
        return cls(location, Pause(**pause) if pause else None, CircuitBreaker(**breaker), **read)

    @classmethod
    def of(cls, changes: Changes, location: str) -> Self:
        return changes.document(
            f"location {location}", lambda stored: cls.decode(location, stored) if stored else cls(location)
        )


stored: Final = tuple(name for name in Location.__slots__ if name != "id")
defaults: Final = {name: getattr(Location(""), name) for name in stored}


def held_by(changes: Changes, setup: Setup, lead: Lead, now: int) -> str:
    """Why a request of this lead wasn't answered in time."""
    budget = Ledger.of(changes, setup, lead.location, now).budget
    state, _, _ = Location.of(changes, lead.location).standing(budget, now)
    if state != "ok":
        return state
    return "unavailable" if lead.open and lead.open.attempts else "deadline"
