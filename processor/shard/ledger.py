"""The budget of a location as a document: whoever takes the partition next reads from it every call that can have
left."""

from dataclasses import dataclass
from typing import Self

from processor.ratelimit.budget import Budget
from processor.shard.setup import Setup
from processor.shard.state import Changes
from processor.shard.tables import Projection, nothing


@dataclass(slots=True)
class Ledger:
    budget: Budget

    @property
    def key(self) -> str:
        return f"budget {self.budget.location}"

    def encode(self) -> bytes:
        return self.budget.encode()

    def projection(self) -> Projection:
        return nothing

    @classmethod
    def of(cls, changes: Changes, setup: Setup, location: str, now: int) -> Self:
        return changes.document(
            f"budget {location}",
            lambda stored: cls(Budget.decode(stored, location, setup.rate, setup.worker, now)),
        )
