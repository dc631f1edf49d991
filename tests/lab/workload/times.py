"""Times of a workload. `at` counts ms from the start of the workload; a time of HighLevel or Kafka is ms since 1970."""

from datetime import UTC, datetime
from typing import Final

start_ms: Final = 1_750_000_000_000  # when a simulated workload starts, ms since 1970
added_ms: Final = 1_600_000_000_000  # contacts were added from then on, one after the other
day_ms: Final = 86_400_000
never: Final = 10**12  # later than any time of a workload
long_ago: Final = "2024-01-01T00:00:00.000Z"


def since_1970(ms: int) -> int:
    """Return the ms since 1970 of a moment of the workload."""
    return start_ms + ms


def iso(ms: int) -> str:
    """Return ms since 1970 as HighLevel writes a time."""
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse_ms(text: str | None) -> int | None:
    """Return ms since 1970, or None if there is no time."""
    return round(datetime.fromisoformat(text).timestamp() * 1000) if text else None
