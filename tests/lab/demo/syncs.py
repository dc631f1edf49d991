"""The Syncs of the demo: people who ask about leads while changes flood in, and the one answer to each (DESIGN §3)."""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Final, NamedTuple

from tests.lab.demo.kinds import kinds
from tests.lab.demo.maker import Maker
from tests.lab.demo.truth import Case, Malformed, Should, Sync
from tests.lab.demo.wire import event

once: Final = ("repeated", "unknown lead", "malformed", "without messages", "once more")
usual: Final = (
    "missing_fields",
    "no_such_contact",
    "dead_with_successor",
    "ambiguous",
    "found_by_email",
    "young_late",
    "complete",
    "found_by_phone",
    "nothing_to_search_by",
    "only_timezone",
    "one_has_our_phone",
    "missing_names",
    "dead_without_successor",
    "initial_load",
    "deleted",
    "nothing_more_known",
    "dead_unnoticed",
    "several_agree",
    "found_without_names",
)
told_by_sync: Final = frozenset(
    ("dead_with_successor", "dead_without_successor", "dead_unnoticed", "young_late", "only_timezone")
)  # leads that only the Sync tells of: what a change of theirs finds first would be another answer


def plan(count: int) -> list[str]:
    """What each Sync is about: those that occur once, spread among the usual ones."""
    wanted = [usual[number % len(usual)] for number in range(max(0, count - len(once)))]
    for place, special in enumerate(once[:count]):
        wanted.insert(1 + 2 * place, special)
    return wanted


class Known(NamedTuple):
    """A lead that changes tell of."""

    place: float  # in the script, of its first event
    kind: str
    case: Case


class Syncs:
    """Makes one Sync after the other: about leads that are known, or about leads of its own, made by `makers`."""

    def __init__(self, known: Iterable[Known], makers: Iterator[Maker]) -> None:
        self._makers = makers
        self._known: dict[str, deque[Known]] = {}
        for one in known:
            if one.kind in usual and one.kind not in told_by_sync:
                self._known.setdefault(one.kind, deque()).append(one)
        self._repeated: Known | None = None
        self.cases: list[Case] = []  # leads that only a Sync tells of
        self.malformed: list[Malformed] = []

    def make(self, number: int, about: str) -> tuple[Sync, Known | Case]:
        """The Sync and its lead."""
        match about:
            case "unknown lead":
                sync, lead = self._strange(number, about, "unknown_lead")
                return replace(sync, waits=True), lead
            case "malformed":
                sync, lead = self._strange(number, "malformed Sync", "invalid", deadline_s=0)
                self.malformed.append(Malformed("invalid_field", sync.message))
                return sync, lead
            case "repeated":
                sync, known = self._about(number, "found_by_email")
                self._repeated = known
                return replace(sync, repeat=sync.message), known
            case "once more" if self._repeated:
                sync = self._sync(next(self._makers), number, self._repeated.case)
                return replace(sync, last=True), self._repeated
            case "without messages":
                sync, known = self._about(number, "found_by_email", include_messages=False)
                return replace(sync, messages=False), known
        return self._told(number, about) if about in told_by_sync else self._about(number, about)

    def _about(self, number: int, kind: str, **more: object) -> tuple[Sync, Known]:
        """About a lead that changes tell of; of another kind where there are no more of this one."""
        left = self._known.get(kind) or next(filter(None, self._known.values()), None)
        if not left:
            raise ValueError("syncs: too many for so few leads")
        known = left.popleft()
        return self._sync(next(self._makers), number, known.case, **more), known

    def _told(self, number: int, kind: str) -> tuple[Sync, Case]:
        m = next(self._makers)
        self.cases.append(replace(kinds[kind](m), messages=(), answers={}, events=frozenset()))
        return self._sync(m, number, self.cases[-1], lead=self.cases[-1].data), self.cases[-1]

    def _strange(self, number: int, kind: str, reason: str, **more: object) -> tuple[Sync, Case]:
        """About a lead that nobody tells of."""
        m = next(self._makers)
        self.cases.append(Case(m.location, m.lead, kind, {}, synced=Should("failed", reason=reason)))
        return self._sync(m, number, self.cases[-1], **more), self.cases[-1]

    def _sync(self, m: Maker, number: int, case: Case, **more: object) -> Sync:
        if case.synced is None:
            raise ValueError(f"{case.kind}: no answer is known")
        request_id = f"sync-{number + 1:04d}"
        question = {"request_id": request_id, "location_id": case.location, "lead_id": case.lead, **more}
        message = event("sync.lead.requested", question, f"{request_id}:asked", case.lead, m.now_ms)
        return Sync(case.location, case.lead, case.kind, request_id, case.data.get("revision"), case.synced, message)
