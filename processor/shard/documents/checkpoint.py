"""A checkpoint says how far a contact's messages have been imported.

A message is known when it is older than the checkpoint less its overlap, or among the ids within it: so state stays
small.
"""

from dataclasses import dataclass, field
from typing import Final

from processor.highlevel.message import SmsMessage

overlap_ms: Final = 600_000  # messages may appear late, or out of order
recent_at_most: Final = 1_000  # ids kept; with more in ten minutes the overlap shrinks


@dataclass(slots=True)
class Checkpoint:
    at: int = 0  # ms, of the newest message; 0: none was imported
    floor: int = 0  # ms, everything sent before has been seen
    recent: dict[str, int] = field(default_factory=dict)  # ids of those sent since, and when

    @property
    def export_from(self) -> int | None:
        """From when on messages are wanted, ms; None: from the start, at first link."""
        return max(0, self.at - overlap_ms) if self.at else None

    def has_seen(self, message: SmsMessage) -> bool:
        return message.sent < self.floor or message.id in self.recent

    def add(self, message: SmsMessage) -> None:
        self.recent[message.id] = message.sent

    def move(self) -> None:
        """Move on to the newest message; of the ids those within the overlap are kept."""
        sent = sorted(self.recent.values())
        if sent[-1] > self.at:
            self.at = sent[-1]
            self.floor = max(self.floor, self.at - overlap_ms)
        kept = [one for one in sent if one >= self.floor]
        if len(kept) > recent_at_most:
            self.floor = kept[-recent_at_most]
        self.recent = {name: one for name, one in self.recent.items() if one >= self.floor}
