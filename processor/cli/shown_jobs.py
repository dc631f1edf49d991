"""What people are shown of a job: phrases for a line, a board while it runs, its plan, its summary."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from processor.cli.shown import clock, distance, span
from processor.commands.progress import Data, Progress, count, moment, outcomes

pauses_shown: Final = 4
whys: Final[Mapping[str, str]] = {
    "daily_budget": "the day's share of calls is spent",
    "unauthorized": "HighLevel refuses the token",
    "unavailable": "HighLevel doesn't answer as it should",
    "throttled": "HighLevel asks to wait",
}
plans: Final[Mapping[str, str]] = {
    "scan": "scan: page through the location's contacts",
    "probe": "probe: many leads in one search",
}
styles: Final[Mapping[str, str]] = {"completed": "bold green", "failed": "bold red", "cancelled": "bold yellow"}


def title(progress: Progress, dry_run: bool = False) -> str:
    what = "Backfill of all locations" if progress.location_id is None else f"Sync All of {progress.location_id}"
    return f"Dry run: {what}" if dry_run else what


def how_far(stand: Data) -> str:
    done, total = count(stand, "leads_done") or 0, count(stand, "leads_total")
    return f"{done:,} of {total:,} leads ({min(100, done * 100 // total)} %)" if total else f"{done:,} leads"


def came_out(stand: Data) -> str:
    return " · ".join(f"{outcome} {number:,}" for outcome in outcomes if (number := count(stand, outcome)))


def by_field(stand: Data) -> str:
    fields = sorted((stand.get("filled") or {}).items(), key=lambda field: -field[1])
    return " · ".join(f"{name} {number:,}" for name, number in fields if number)


def calls(stand: Data) -> str:
    spent, planned, saved = (count(stand, f"calls_{name}") for name in ("spent", "planned", "saved"))
    parts = [f"{spent or 0:,} spent" + ("" if planned is None else f" of about {planned:,} planned")]
    return ", ".join(parts if saved is None else [*parts, f"{saved:,} saved"])


def per_second(rate: float | None) -> str:
    return "" if rate is None else f"{rate:,.0f} leads/s" if rate >= 10 or rate == 0 else f"{rate:.1f} leads/s"


def done_in(stand: Data, now_ms: int) -> str:
    eta = moment(stand.get("eta"))
    return "" if eta is None or eta < now_ms else f"done {distance(stand['eta'], now_ms / 1_000)}"


def started(progress: Progress, now_ms: int) -> str:
    """What is told when it begins, or is found to have begun."""
    stand = progress.stand()
    if progress.location_id is None or stand["leads_done"]:
        return line(progress, now_ms)
    total, planned = count(stand, "leads_total"), count(stand, "calls_planned")
    parts = [
        plans.get(stand["plan"], str(stand["plan"])) if stand["plan"] else "",
        "" if total is None else f"{total:,} leads",
        "" if planned is None else f"about {planned:,} calls planned",
        done_in(stand, now_ms),
    ]
    return f"started; {'; '.join(part for part in parts if part)}"


def pause(progress: Progress, partition: int, data: Data, now_ms: int) -> str:
    """Why, and until when; a backfill's says where."""
    reason, until = str(data.get("reason") or "it doesn't say why"), moment(data.get("paused_until"))
    if until is not None:
        reason = f"{reason} until {clock(until / 1_000)} ({distance(data['paused_until'], now_ms / 1_000)})"
    if progress.location_id is None:
        return f"partition {partition}: {reason}"
    return ": ".join(part for part in (reason, whys.get(str(data.get("reason")))) if part)


def pauses(progress: Progress, now_ms: int) -> Iterator[str]:
    """A line each."""
    paused = list(progress.paused())
    for partition, said in paused[:pauses_shown]:
        yield pause(progress, partition, said.data, now_ms)
    if len(paused) > pauses_shown:
        yield f"and {len(paused) - pauses_shown} more partitions"


def partitions(progress: Progress) -> str:
    unheard = progress.partitions - progress.heard_partitions
    return f"{progress.done_partitions} of {progress.partitions} done" + (
        f", {unheard} not heard of" if unheard else ""
    )


def silence(silent_ms: int) -> str:
    return f"nothing heard for {span(silent_ms / 1_000)}: no worker seems to run; still waiting"


def opening(progress: Progress) -> str:
    queued = f", {progress.queued:,} queued" if progress.queued else ""
    return f"opening its leads…{queued}" if progress.live else "reading what was said of it…"


def line(progress: Progress, now_ms: int) -> str:
    """How it stands while it runs."""
    stand = progress.stand()
    parts = [
        ", ".join(part for part in (how_far(stand), per_second(progress.per_second())) if part),
        came_out(stand),
        f"calls {calls(stand)}",
        done_in(stand, now_ms),
        f"partitions {partitions(progress)}" if progress.location_id is None else "",
    ]
    return "; ".join(part for part in parts if part)


def board(progress: Progress, dry_run: bool, elapsed_s: float, now_ms: int) -> RenderableType:
    """The same at length."""
    stand, phase = progress.stand(), progress.phase
    rows: dict[str, Text | str] = {"request": progress.request_id}
    head: list[RenderableType] = [Text(title(progress, dry_run), "bold")]
    if phase == "opening":
        rows["now"] = f"{opening(progress)} {span(elapsed_s)}"
    else:
        head.append(bar(stand))
        rows["plan"] = plans.get(stand["plan"], str(stand["plan"])) if stand["plan"] else ""
        pace = (per_second(progress.per_second()), done_in(stand, now_ms)) if phase == "running" else ()
        rows["pace"] = ", ".join(part for part in pace if part)
        rows["outcomes"] = came_out(stand)
        rows["filled"] = by_field(stand)
        rows["calls"] = calls(stand)
    if progress.location_id is None and progress.heard:
        rows["partitions"] = partitions(progress)
    rows["paused"] = Text("\n".join(pauses(progress, now_ms)), "yellow")
    if (silent := progress.silent_ms(now_ms)) is not None:
        rows["worker"] = Text(silence(silent), "yellow")
    hint = "Ctrl-C gives up waiting for the plan." if dry_run else "Ctrl-C leaves the job running."
    return Group(*head, facts(rows), Text(hint, "dim"))


def bar(stand: Data) -> RenderableType:
    done, total = count(stand, "leads_done") or 0, count(stand, "leads_total")
    row = Table.grid(padding=(0, 2, 0, 0), expand=True)
    row.add_column(ratio=1)
    row.add_column(no_wrap=True)
    row.add_row(ProgressBar(total=total or 1, completed=done if total else 1), how_far(stand))
    return row


def plan(progress: Progress, per_10s: int) -> RenderableType:
    """A dry run's answer."""
    said = progress.plan()
    total = count(said, "leads_total")
    rows: dict[str, Text | str] = {
        "plan": plans.get(said["plan"], str(said["plan"])) if said["plan"] else "",
        "leads": "" if total is None else f"{total:,}",
        "calls": "" if said["calls_planned"] is None else f"about {said['calls_planned']:,}",
        "time": "" if said["takes_ms"] is None else f"about {span(said['takes_ms'] / 1_000)}",
        "one search a lead": "" if not total else one_search_a_lead(progress, total, per_10s),
        "spent on this": "" if said["calls_spent"] is None else number_of_calls(said["calls_spent"]),
    }
    return Group(Text(f"{title(progress, dry_run=True)}, nothing done", "bold"), facts(rows))


def one_search_a_lead(progress: Progress, searches: int, per_10s: int) -> str:
    """Locations have budgets of their own: of many at once, no time is told."""
    if progress.location_id is None:
        return number_of_calls(searches)
    return f"{number_of_calls(searches)}: {span(searches * 10 / per_10s)} at {per_10s} in 10 s"


def number_of_calls(number: int) -> str:
    return f"{number:,} call{'' if number == 1 else 's'}"


def summary(progress: Progress, per_10s: int) -> RenderableType:
    """Every lead in one outcome, so that it adds up."""
    stand, phase, took = progress.stand(), progress.phase, progress.took_ms()
    done = count(stand, "leads_done") or 0
    how = f"{title(progress)} {phase}" + (f" after {span(took / 1_000)}" if took is not None else "")
    pace = f": {per_second(done * 1_000 / took)}" if took and done else ""
    rows: dict[str, Text | str] = {
        "why": "" if stand["reason"] is None else str(stand["reason"]),
        "filled": by_field(stand) or "nothing",
        "messages": f"{stand['messages_imported']:,}" if stand["messages_imported"] else "",
        "calls": calls(stand),
    }
    if (saved := stand["calls_saved"]) is not None:
        searches = (stand["calls_spent"] or 0) + saved
        rows["one search a lead"] = f"would have been {one_search_a_lead(progress, searches, per_10s)}"
    if progress.location_id is None:
        rows["partitions"] = partitions(progress)
    rows["request"] = progress.request_id
    return Group(Text(f"{how}{pace}", styles.get(phase, "bold")), leads(stand), facts(rows))


def leads(stand: Mapping[str, Any]) -> RenderableType:
    """Outcomes by number, what they leave of all leads, and the sum."""
    told = {outcome: count(stand, outcome) or 0 for outcome in outcomes}
    done = count(stand, "leads_done") or 0
    total = count(stand, "leads_total")
    if other := done - sum(told.values()):
        told["other"] = other
    if left := (done if total is None else total) - done:
        told["not done"] = left
    table = Table.grid(padding=(0, 2))
    table.add_column(min_width=8)
    table.add_column(justify="right")
    for name, number in told.items():
        table.add_row(f"  {name}", Text(f"{number:,}", "red" if name == "failed" and number else ""))
    table.add_row("  leads", Text(f"{sum(told.values()):,}", "bold"))
    return table


def facts(rows: Mapping[str, Text | str]) -> RenderableType:
    """Names and values; what has none is left out."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows.items():
        if value:
            table.add_row(f"  {name}", Text(value) if isinstance(value, str) else value)
    return table


def cancelled(progress: Progress) -> str:
    """What came of a cancel, in a line or two."""
    stand = progress.stand()
    if progress.phase == "cancelled":
        return f"cancelled: {how_far(stand)} done"
    if progress.over:
        return f"over already: {progress.phase}, {how_far(stand)} done"
    if progress.heard:
        where = "" if progress.location_id is not None else f"; partitions: {partitions(progress)}"
        return f"asked, but it isn't over yet: does its worker run? One that comes will cancel it{where}"
    nothing = "nothing heard of it: unknown, or over already"
    if progress.location_id is not None:
        return nothing
    return f"{nothing}\nit was taken for a backfill: a Sync All is cancelled by request and LOCATION"
