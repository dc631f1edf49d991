"""What `sync` and `status` show to people, and times as people say them."""

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

from rich.console import Console
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

good_outcomes: Final = ("updated", "unchanged", "created")
lanes: Final = ("interactive", "change", "job", "backfill")


def show_answer(data: Mapping[str, object], after_ms: int) -> None:
    good = data.get("outcome") in good_outcomes
    rows = Table.grid(padding=(0, 2))
    filled = data.get("filled")
    facts = {
        "outcome": str(data.get("outcome")),
        "reason": data.get("reason"),
        "filled": ", ".join(map(str, filled)) if isinstance(filled, Sequence) and filled else "nothing",
        "messages": data.get("messages_imported") or None,
        "answered": f"after {after_ms / 1000:.2f} s",
        "request": data.get("request_id"),
    }
    for name, value in facts.items():
        if value is not None:
            rows.add_row(Text(name, "dim"), Text(str(value), ("green" if good else "red") if name == "outcome" else ""))
    title = Text(f"{data.get('lead_id')} in {data.get('location_id')}")
    Console().print(Panel(rows, title=title, border_style="green" if good else "red", expand=False))


def show_statuses(found: Sequence[Mapping[str, object]], per_10s: int) -> None:
    table, now = Table(box=None, header_style="dim", padding=(0, 1, 0, 0)), time.time()
    table.add_column("location", overflow="fold", min_width=10)
    for heading in ("state", "since,\nuntil", "queued"):
        table.add_column(heading, no_wrap=True)
    for heading in ("oldest", "in 10 s", "in 24 h"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("worker", overflow="fold", min_width=8)
    for one in found:
        state, reason, queued, oldest = (one.get(name) for name in ("state", "reason", "queued", "oldest_pending_s"))
        waiting = (
            [f"{lane} {queued[lane]}" for lane in lanes if queued.get(lane)] if isinstance(queued, Mapping) else []
        )
        table.add_row(
            Text(str(one.get("location_id"))),
            Text("\n".join(str(part) for part in (state, reason) if part), "green" if state == "ok" else "yellow"),
            Text("\n".join(distance(one[name], now) for name in ("since", "until") if one.get(name))),
            Text("\n".join(waiting)),
            Text(span(oldest) if isinstance(oldest, int) and oldest else ""),
            Text(f"{one.get('sent_10s')} of {per_10s}"),
            Text(str(one.get("sent_today"))),
            Text(str(one.get("worker") or "")),
        )
    Console().print(table)


def distance(moment: object, now: float) -> str:
    """How far a time of the contract (RFC 3339, UTC) lies from now."""
    try:
        seconds = datetime.fromisoformat(str(moment)).timestamp() - now
    except ValueError:
        return str(moment)
    return f"in {span(seconds)}" if seconds > 0 else f"{span(-seconds)} ago"


def clock(seconds: float) -> str:
    """What the clock here shows at so many seconds since 1970."""
    return datetime.fromtimestamp(seconds, UTC).astimezone().strftime("%H:%M:%S")


def span(seconds: float) -> str:
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"
