"""What a job or backfill has come to, in numbers: every lead in exactly one outcome (DESIGN §3, `sync.*` progress)."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

outcomes: Final = ("updated", "unchanged", "created", "not_found", "ambiguous", "failed")


@dataclass(slots=True)
class Tally:
    leads: int = 0  # of the job; one deleted meanwhile leaves it
    done: dict[str, int] = field(default_factory=dict)  # by outcome
    filled: dict[str, int] = field(default_factory=dict)  # leads by field
    looked_up: int = 0  # of those done, the ones that HighLevel had to be asked about
    messages: int = 0  # imported
    planned: int = 0  # calls
    spent: int = 0

    @property
    def leads_done(self) -> int:
        return sum(self.done.values())

    @property
    def complete(self) -> bool:
        return self.leads_done >= self.leads

    def count(self, outcome: str, filled: Iterable[str], looked_up: bool, messages: int) -> None:
        """One lead has its outcome."""
        self.done[outcome] = self.done.get(outcome, 0) + 1
        self.looked_up += looked_up
        self.messages += messages
        for name in filled:
            self.filled[name] = self.filled.get(name, 0) + 1

    def data(self) -> dict[str, object]:
        """As progress tells it. Saved: what one call a lead would have cost beyond what was spent."""
        return {
            "leads_total": self.leads,
            "leads_done": self.leads_done,
            **{outcome: self.done.get(outcome, 0) for outcome in outcomes},
            "filled": dict(self.filled),
            "messages_imported": self.messages,
            "calls_planned": max(self.planned, self.spent),
            "calls_spent": self.spent,
            "calls_saved": max(0, self.looked_up - self.spent),
        }
