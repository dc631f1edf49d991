"""How the demo stands at a moment: in a few lines, or as a board on a terminal."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from rich.console import Group
from rich.table import Table
from rich.text import Text

from tests.lab.demo.shown import latency, locations_shown, outcome_order, plain_table
from tests.lab.demo.spent import planned, server_limit

bar_width: Final = 24


@dataclass(frozen=True, slots=True)
class JobNow:
    """The Sync All at a moment."""

    leads: int
    asked: bool
    state: str  # the type of the last event about it, without `sync.`; "": there was none
    said: Mapping[str, Any]  # what that event said
    eta_s: float | None
    took_s: float | None  # None: it isn't over


@dataclass(frozen=True, slots=True)
class Progress:
    """The run at a moment."""

    elapsed_s: float
    published: int
    to_publish: int
    outcomes: Mapping[str, int]  # results
    messages: int  # imported
    buried: int
    syncs: int  # pressed so far
    to_sync: int
    answered: int
    latencies_ms: Sequence[float]  # ascending
    disturbed_ms: Sequence[float]  # of Syncs that waited while a worker was dead
    killed: str  # which worker was killed on purpose, and how that stands
    report: Mapping[str, Any]  # the simulator's
    statuses: Mapping[str, Mapping[str, Any]]  # location → its last location.status
    waiting: int  # for so many things that must come
    doing: str
    job: JobNow | None = None


def line(progress: Progress) -> str:
    """How the run stands, in a few lines of 80 columns."""
    results = sum(progress.outcomes.values())
    totals = progress.report.get("totals", {})
    lines = [
        progress.doing,
        f"{progress.published:,} of {progress.to_publish:,} events, {results:,} results, "
        f"{totals.get('arrivals', 0):,} calls, worst window {totals.get('worst_window', 0)}",
        f"Syncs {progress.answered}/{progress.to_sync}{latency(progress.latencies_ms, progress.disturbed_ms)}",
    ]
    if progress.job:
        lines.append(f"Sync All: {'; '.join(job_line(progress.job))}")
    return f"{progress.elapsed_s:6.1f} s  " + "\n          ".join(lines)


def job_line(job: JobNow) -> Iterator[str]:
    """How the Sync All stands, in pieces."""
    said = job.said
    if not said:
        yield f"{job.leads:,} leads are {'opened' if job.asked else 'brought in'}"
        return
    plan = f"{said['plan']}, " if said.get("plan") else ""
    spent = f"{said.get('calls_spent') or 0:,} calls"
    calls = f"{spent}, {said.get('calls_saved') or 0:,} saved"
    if job.took_s is not None:
        yield f"{job.state} after {job.took_s:.1f} s"
        yield calls
        return
    yield f"{plan}{said.get('leads_done') or 0:,}/{said.get('leads_total') or job.leads:,} leads"
    if job.state == "paused":
        yield spent
        yield f"paused: {said.get('reason')}"
        return
    yield calls
    if job.eta_s is not None:
        yield f"ETA {job.eta_s:.0f} s"


def bar(job: JobNow) -> str:
    """Of its leads."""
    done = (job.said.get("leads_done") or 0) / max(1, job.said.get("leads_total") or job.leads)
    full = int(done * bar_width)
    return "━" * full + "┄" * (bar_width - full)


def board(progress: Progress) -> Group:
    """The same at length."""
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="dim")
    totals = progress.report.get("totals", {})
    waited = latency(progress.latencies_ms, progress.disturbed_ms)
    said = [f"{outcome} {count:,}" for outcome in outcome_order if (count := progress.outcomes.get(outcome))]
    rows = {
        "elapsed": f"{progress.elapsed_s:.0f} s, {progress.doing}",
        "killed": progress.killed,
        "events published": f"{progress.published:,} of {progress.to_publish:,}",
        "results": " · ".join(said) or "none yet",
        "messages imported": f"{progress.messages:,}",
        "dead letters": f"{progress.buried}",
        "Syncs answered": f"{progress.answered} of {progress.syncs} pressed{waited}",
        "calls spent": f"{totals.get('arrivals', 0):,}, refused {totals.get('refused', 0)}",
        "still to come": f"{progress.waiting:,}",
    }
    if job := progress.job:
        first, *further = job_line(job)
        rows |= {"Sync All": f"{bar(job)} {first}", "": "; ".join(further)}
    for name, value in rows.items():
        facts.add_row(name, value)
    return Group(facts, Text(), budgets(progress))


def budgets(progress: Progress) -> Table:
    """The locations that have called most."""
    table = plain_table()
    for name in (
        "busiest locations",
        "calls",
        f"last 10 s of {planned}",
        f"worst 10 s of {server_limit}",
        "waiting",
        "state",
    ):
        table.add_column(name, justify="left" if name in ("busiest locations", "state") else "right")
    reports = progress.report.get("locations", {})
    for location in sorted(reports, key=lambda name: -reports[name]["arrivals"])[:locations_shown]:
        status = progress.statuses.get(location, {})
        table.add_row(
            location,
            f"{reports[location]['arrivals']}",
            f"{status.get('sent_10s', '')}",
            f"{reports[location]['worst_window']}",
            f"{sum(status.get('queued', {}).values()):,}",
            f"{status.get('state', '')}",
        )
    return table
