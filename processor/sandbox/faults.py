"""Faults on demand: a table, asked once a call. The first entry that fits strikes. Same seed, same calls, same faults."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from random import Random
from typing import Any, Final, Literal, get_args

RetryAfter = Literal["seconds", "date", "none"]
Kind = Literal["status", "cloudflare", "hang", "reset", "malformed", "endless", "truncated", "lost", "slow"]
most: Final = 1_000_000_000  # of any number; in ms and s longer than anything runs
entries_at_most: Final = 10_000


@dataclass(frozen=True, slots=True)
class Fault:
    """Whom it strikes (all that is given must fit), how often, and with what."""

    kind: Kind
    location: str | None = None
    call: str | None = None  # "search", "contact" or "messages"
    email: str | None = None  # a search that names it: poisoned
    filters_over: int | None = None  # a search with more filters than that
    probability: float = 1.0
    times: int | None = None  # strikes so often and is gone; None: until it is cleared
    status: int = 500  # of kind "status"
    message: str | None = None  # None: HighLevel's usual one
    retry_after: RetryAfter = "none"
    retry_after_s: int = 10
    body: str = '{"contacts":[{"id":'  # of kind "malformed": what a 200 carries
    delay_ms: int = 1_000  # of kind "slow": on top of the latency

    def __post_init__(self) -> None:
        for name, right in (
            ("kind", self.kind in get_args(Kind)),
            *((name, _text(getattr(self, name))) for name in ("location", "call", "email", "message")),
            ("filters_over", self.filters_over is None or _whole(self.filters_over, 0, most)),
            ("probability", _whole(self.probability, 0, 1) or isinstance(self.probability, float)),
            ("probability", 0 <= self.probability <= 1),
            ("times", self.times is None or _whole(self.times, 1, most)),
            ("status", _whole(self.status, 300, 599)),
            ("retry_after", self.retry_after in get_args(RetryAfter)),
            ("retry_after_s", _whole(self.retry_after_s, 0, most)),
            ("body", isinstance(self.body, str)),
            ("delay_ms", _whole(self.delay_ms, 0, most)),
        ):
            if not right:
                raise ValueError(f"fault: {name}: out of its range, or of a wrong type")


def parse(given: Mapping[str, Any]) -> Fault:
    """A JSON object; ValueError says what is wrong with it."""
    if unknown := given.keys() - set(Fault.__slots__):
        raise ValueError(f"fault: {min(unknown)}: unknown")
    if "kind" not in given:
        raise ValueError("fault: kind: missing")
    return Fault(**given)


def _text(value: Any) -> bool:
    return value is None or isinstance(value, str)


def _whole(value: Any, least: int, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


@dataclass(slots=True)
class Entry:
    fault: Fault
    draw: Random
    strikes: int = 0

    def fits(self, location: str, call: str, body: Any) -> bool:
        fault = self.fault
        if fault.location not in (None, location) or fault.call not in (None, call):
            return False
        if fault.email is not None and fault.email.casefold() not in _emails(body):
            return False
        return fault.filters_over is None or sum(1 for _ in _leaves(body)) > fault.filters_over


class Faults:
    def __init__(self, seed: int = 0) -> None:
        self.seed = seed
        self._entries: dict[int, Entry] = {}
        self._made = 0

    def add(self, fault: Fault) -> int:
        """Returns the id to clear it by. ValueError: there are too many."""
        if len(self._entries) >= entries_at_most:
            raise ValueError(f"fault: there are {entries_at_most} already")
        self._made += 1
        self._entries[self._made] = Entry(fault, Random(f"{self.seed} {self._made}"))
        return self._made

    def clear(self, id: int | None = None, location: str | None = None) -> int:
        """One, those of a location, or all. Returns how many."""
        gone = [
            number
            for number, entry in self._entries.items()
            if id in (None, number) and location in (None, entry.fault.location)
        ]
        for number in gone:
            del self._entries[number]
        return len(gone)

    def table(self) -> list[dict[str, Any]]:  # JSON objects
        return [
            {"id": number, "strikes": entry.strikes, **asdict(entry.fault)} for number, entry in self._entries.items()
        ]

    def strike(self, location: str, call: str, body: Any) -> Fault | None:
        for number, entry in self._entries.items():
            if not entry.fits(location, call, body) or entry.draw.random() >= entry.fault.probability:
                continue
            entry.strikes += 1
            if entry.strikes == entry.fault.times:
                del self._entries[number]
            return entry.fault
        return None


def _leaves(node: Any) -> Iterator[dict[str, Any]]:
    """The filters of a search's body, however wrong the body is."""
    if isinstance(node, list):
        for item in node:
            yield from _leaves(item)
    elif isinstance(node, dict):
        if "field" in node:
            yield node
        else:
            yield from _leaves(node.get("filters"))


def _emails(body: Any) -> set[str]:
    return {str(leaf.get("value")).casefold() for leaf in _leaves(body) if leaf["field"] == "email"}
