"""Keep a table of faults. The first entry that fits a call strikes it. The same seed and calls give the same faults."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from random import Random
from typing import Any, Final, Literal, get_args

from processor.sandbox.json_values import is_number, is_whole, parse_options

RetryAfterForm = Literal["seconds", "date", "none"]
FaultKind = Literal["status", "cloudflare", "hang", "reset", "malformed", "endless", "truncated", "lost", "slow"]
max_fault_number: Final = 1_000_000_000  # in ms and s longer than anything runs
max_faults: Final = 10_000


@dataclass(frozen=True, slots=True)
class Fault:
    """Name the calls that a fault strikes (all given fields must fit), its frequency and its effect."""

    kind: FaultKind
    location: str | None = None
    call: str | None = None  # "search", "contact" or "messages"
    email: str | None = None  # a search that names this e-mail
    filters_over: int | None = None  # a search with more filters than this
    probability: float = 1.0
    times: int | None = None  # the entry goes after so many strikes; None: it stays until it is cleared
    status: int = 500  # of kind "status"
    message: str | None = None  # None: HighLevel's usual message
    retry_after: RetryAfterForm = "none"
    retry_after_s: int = 10
    body: str = '{"contacts":[{"id":'  # of kind "malformed": the body of a 200
    delay_ms: int = 1_000  # of kind "slow": on top of the latency

    def __post_init__(self) -> None:
        for name, valid in (
            ("kind", self.kind in get_args(FaultKind)),
            *((name, isinstance(getattr(self, name), str | None)) for name in ("location", "call", "email", "message")),
            ("filters_over", self.filters_over is None or is_whole(self.filters_over, 0, max_fault_number)),
            ("probability", is_number(self.probability, 0, 1)),
            ("times", self.times is None or is_whole(self.times, 1, max_fault_number)),
            ("status", is_whole(self.status, 300, 599)),
            ("retry_after", self.retry_after in get_args(RetryAfterForm)),
            ("retry_after_s", is_whole(self.retry_after_s, 0, max_fault_number)),
            ("body", isinstance(self.body, str)),
            ("delay_ms", is_whole(self.delay_ms, 0, max_fault_number)),
        ):
            if not valid:
                raise ValueError(f"fault: {name}: out of its range, or of a wrong type")


def parse_fault(given: Mapping[str, Any]) -> Fault:
    """Return the fault of a JSON object. Raise ValueError with the reason if it is wrong."""
    return parse_options(Fault, "fault", given, required=("kind",))


@dataclass(slots=True)
class FaultEntry:
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


class FaultTable:
    def __init__(self, seed: int = 0) -> None:
        self.seed = seed
        self._entries: dict[int, FaultEntry] = {}
        self._made = 0

    def add(self, fault: Fault) -> int:
        """Add a fault and return its id, for `clear`. Raise ValueError if there are too many."""
        if len(self._entries) >= max_faults:
            raise ValueError(f"fault: there are {max_faults} already")
        self._made += 1
        self._entries[self._made] = FaultEntry(fault, Random(f"{self.seed} {self._made}"))
        return self._made

    def clear(self, id: int | None = None, location: str | None = None) -> int:
        """Remove one fault, the faults of a location, or all. Return their number."""
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

    def draw_fault(self, location: str, call: str, body: Any) -> Fault | None:
        """Return the fault that strikes this call, and count the strike."""
        for number, entry in self._entries.items():
            if not entry.fits(location, call, body) or entry.draw.random() >= entry.fault.probability:
                continue
            entry.strikes += 1
            if entry.strikes == entry.fault.times:
                del self._entries[number]
            return entry.fault
        return None


def _leaves(node: Any) -> Iterator[dict[str, Any]]:
    """Yield the filters of a search's body, however malformed the body is."""
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
