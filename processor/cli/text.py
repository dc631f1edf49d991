"""Print an answer and the locations' statuses as plain lines, and times in words."""

import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

good_outcomes: Final = ("updated", "unchanged", "created")


def fact_lines(facts: Mapping[str, object]) -> Iterator[str]:
    """Yield an aligned line for each named value. A fact without a value has none."""
    shown = {name: str(value) for name, value in facts.items() if value}
    width = max(map(len, shown), default=0)
    return (f"  {name:{width}}  {value}" for name, value in shown.items())


def answer_lines(data: Mapping[str, Any], after_ms: int) -> Iterator[str]:
    """Yield the lines of a Sync's answer."""
    filled = data.get("filled")
    yield f"{data.get('lead_id')} in {data.get('location_id')}: {data.get('outcome')}"
    yield from fact_lines(
        {
            "reason": data.get("reason"),
            "filled": ", ".join(map(str, filled)) if isinstance(filled, Sequence) and filled else "nothing",
            "messages": data.get("messages_imported"),
            "answered": f"after {after_ms / 1000:.2f} s",
            "request": data.get("request_id"),
        }
    )


def status_lines(statuses: Sequence[Mapping[str, Any]], per_10s: int) -> Iterator[str]:
    """Yield a table of the locations, one line each."""
    headings = ("location", "state", "since, until", "queued", "oldest", "in 10 s", "in 24 h", "worker")
    now = time.time()
    rows = [headings, *(_status_row(status, per_10s, now) for status in statuses)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()


def _status_row(status: Mapping[str, Any], per_10s: int, now: float) -> tuple[str, ...]:
    queued, oldest = status.get("queued"), status.get("oldest_pending_s")
    lanes = queued.items() if isinstance(queued, Mapping) else ()
    return (
        str(status.get("location_id")),
        ": ".join(str(status[name]) for name in ("state", "reason") if status.get(name)),
        ", ".join(relative_time(status[name], now) for name in ("since", "until") if status.get(name)),
        ", ".join(f"{lane} {count}" for lane, count in lanes if count),
        duration(oldest) if isinstance(oldest, int) and oldest else "",
        f"{status.get('sent_10s')} of {per_10s}",
        str(status.get("sent_today")),
        str(status.get("worker") or ""),
    )


def relative_time(value: object, now: float) -> str:
    """Return how far a time of the contract (RFC 3339, UTC) lies from now, in seconds since 1970."""
    try:
        seconds = datetime.fromisoformat(str(value)).timestamp() - now
    except ValueError:
        return str(value)
    return f"in {duration(seconds)}" if seconds > 0 else f"{duration(-seconds)} ago"


def local_time(seconds: float) -> str:
    """Return the local time of day at so many seconds since 1970."""
    return datetime.fromtimestamp(seconds, UTC).astimezone().strftime("%H:%M:%S")


def duration(seconds: float) -> str:
    """Return a length of time in its largest unit that counts at least two."""
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"
