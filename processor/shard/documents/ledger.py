"""A location's rate budget as a document: the next owner of the partition reads from it every call that can have left."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

from processor.ratelimit.budget import Budget
from processor.shard.documents.document import Document, Tracker


@dataclass(slots=True)
class Ledger(Document):
    kind: ClassVar[str] = "budget"
    indexed: ClassVar[bool] = False

    budget: Budget

    @property
    def key(self) -> str:
        return f"budget {self.budget.location}"

    def encode(self) -> bytes:
        return self.budget.encode()

    @classmethod
    def read(cls, turn: Tracker, ids: Sequence[str], stored: bytes | None) -> Self:
        (location,) = ids
        return cls(Budget.decode(stored, location, turn.setup.rate, turn.setup.worker, turn.now))


@dataclass(slots=True)
class Position(Document):
    """The consumer's position in an input topic: it passes transaction markers, too."""

    kind: ClassVar[str] = "position"
    indexed: ClassVar[bool] = False

    topic: str
    offset: int = 0

    @property
    def key(self) -> str:
        return f"position {self.topic}"

    def encode(self) -> bytes:
        return str(self.offset).encode()

    @classmethod
    def decode(cls, ids: Sequence[str], stored: bytes | None) -> Self:
        (topic,) = ids
        return cls(topic, int(stored or 0))
