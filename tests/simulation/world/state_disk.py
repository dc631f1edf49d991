"""The state files of a simulated machine: SQLite in memory, and the copies of it that a successor may find."""

import sqlite3
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

from processor.shard.state import Changes, Document, State
from processor.shard.turn import project
from tests.simulation.faults.kills import StateLeft

if TYPE_CHECKING:
    from .worker import Worker


@dataclass
class Disk:
    """The state file of a partition on a machine, and one older copy of it."""

    random: Random
    newest: bytes | None = None
    older: bytes | None = None
    saves: int = 0
    found: StateLeft = "kept"

    def save(self, connection: sqlite3.Connection) -> None:
        self.saves += 1
        if self.newest is not None and self.random.random() < 1 / self.saves:
            self.older = self.newest  # any of the former copies, each as likely
        self.newest = connection.serialize()

    def left(self, found: StateLeft) -> "Disk":
        """Return the disk that a successor finds."""
        files = {"kept": (self.newest, self.older), "stale": (self.older, None), "lost": (None, None)}
        return Disk(self.random, *files[found], found=found)


class MortalState(State):
    """The shard's SQLite. Its process may die before and after a commit; committed data is on the disk."""

    def __init__(self, connection: sqlite3.Connection, worker: "Worker", partition: int) -> None:
        super().__init__(connection, project)
        self.worker, self.partition = worker, partition

    def begin(self) -> Changes:
        self.connection.execute("BEGIN IMMEDIATE")
        return MeasuredChanges(self.connection, self.worker.peaks)

    def commit(self, position: int | None) -> None:
        self.worker.die_here()
        super().commit(position)
        self.worker.saved(self)
        self.worker.die_here()

    def restored(self, now: int) -> None:
        super().restored(now)
        self.worker.saved(self)


class MeasuredChanges(Changes):
    """A turn's unit of work that records the most that any turn has held in memory."""

    def __init__(self, connection: sqlite3.Connection, peaks: Counter[str]) -> None:
        super().__init__(connection)
        self.peaks = peaks

    def hold(self, document: Document, stored: bytes | None) -> None:
        super().hold(document, stored)
        self.peaks["documents"] = max(self.peaks["documents"], self.size)

    def flush(self, *kinds: str) -> None:
        super().flush(*kinds)
        self.peaks["rows"] = max(self.peaks["rows"], len(self.rows))
        self.peaks["records"] = max(self.peaks["records"], len(self.records))


@dataclass
class StateInMemory:
    """A state file as the runner knows it."""

    state: State
    origin: str
    closed: Callable[[bool], None]
    discarded: bool = False

    def close(self) -> None:
        self.closed(self.discarded)
        self.state.connection.close()

    def discard(self) -> None:
        self.discarded = True
