"""A location's document: how HighLevel treats it, and what was last reported of that."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Final, Self

from processor.ratelimit.budget import Budget
from processor.ratelimit.circuit_breaker import CircuitBreaker
from processor.ratelimit.jitter import jittered
from processor.shard.documents.document import Document, Fields, read_fields, split_unknown, write_fields
from processor.shard.documents.format1 import upgrade_location
from processor.shard.indexes import Projection, nothing

report_every_ms: Final = 10_000  # DESIGN §3, location.status: at most so often while nothing changes
trial_every_ms: Final = 600_000  # one call each 10 minutes tries whether the location is cured
trial_for_sync_ms: Final = 60_000  # and at most one a minute when a Sync waits


@dataclass(slots=True)
class Pause:
    """HighLevel refuses our token: nothing is sent but a trial now and then, until another token is there."""

    why: str  # HighLevel's reason, as a code
    tried: int  # ms, when a call was granted last
    token: str | None = None  # fingerprint of the one that was refused; None: there was none


@dataclass(slots=True)
class Location(Document):
    kind: ClassVar[str] = "location"

    id: str
    pause: Pause | None = None
    breaker: CircuitBreaker = field(default_factory=CircuitBreaker)
    no_messages_since: int = 0  # ms, when HighLevel last said that the token's scope lacks messages
    state: str = "ok"  # as last reported
    since: int = 0  # ms, of that state
    reported: int = 0  # ms
    was_busy: bool = False
    unknown: Fields | None = None

    @property
    def key(self) -> str:
        return f"location {self.id}"

    def free_at(self, budget: Budget, now: int, sync_waits: bool) -> int:
        """Return when its next call may be granted, as far as that depends on how HighLevel treats us."""
        if self.pause:
            return self.pause.tried + (trial_for_sync_ms if sync_waits else trial_every_ms)
        return max(self.breaker.probe_at, budget.idle_by(now)) if self.breaker.open else now

    def serves_messages(self, now: int, sync_waits: bool) -> bool:
        """True if messages may be asked for; while the token's scope lacks them, now and then a call tries."""
        wait = trial_for_sync_ms if sync_waits else trial_every_ms
        return not self.no_messages_since or now >= self.no_messages_since + wait

    def call_failed(self, granted: int, slot: int, now: int) -> None:
        """A call granted at `granted` brought no response, or none that says anything."""
        self.breaker.fail(granted, now + jittered(self.breaker.delay_ms, self.key, slot))

    def standing(self, budget: Budget, now: int) -> tuple[str, str | None, int | None]:
        """Return its state, the reason, and until when (ms)."""
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
        """Return when the location must be reported again: a busy or faulty one is, before long."""
        return Projection(at=self.reported + report_every_ms) if self.was_busy or self.state != "ok" else nothing

    def encode(self) -> bytes:
        fields = {name: value for name in location_fields if (value := getattr(self, name)) != location_defaults[name]}
        return write_fields(fields, self.unknown)

    @classmethod
    def decode(cls, ids: Sequence[str], stored: bytes | None) -> Self:
        (location,) = ids
        if stored is None:
            return cls(location)
        fields = read_fields(stored, upgrade_location)
        unknown = split_unknown(fields, location_defaults)
        pause, breaker = fields.pop("pause", None), fields.pop("breaker", {})
        return cls(location, Pause(**pause) if pause else None, CircuitBreaker(**breaker), **fields, unknown=unknown)


location_fields: Final = tuple(name for name in Location.__slots__ if name not in ("id", "unknown"))
location_defaults: Final = {name: getattr(Location(""), name) for name in location_fields}
