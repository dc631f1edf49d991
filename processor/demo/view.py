"""What a person sees of the demo: phases, the run as it goes (a live table on a terminal, else a line now and then), the summary."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from processor.demo.report import Verdict, nothing
from processor.demo.spent import Spent, planned, server_limit

line_every_s: Final = 5.0  # where there is no terminal
locations_shown: Final = 6
misses_shown: Final = 12
whats_shown: Final = 3  # of one miss
plain_width: Final = 120
outcome_order: Final = (nothing, "updated", "unchanged", "created", "not_found", "ambiguous", "failed")


@dataclass(frozen=True, slots=True)
class Progress:
    """The run at a moment."""

    elapsed_s: float
    published: int
    to_publish: int
    outcomes: Mapping[str, int]  # results
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


@dataclass(frozen=True, slots=True)
class Summary:
    verdict: Verdict
    spent: Spent
    leads: int
    malformed: int
    syncs: int
    answered: int
    latencies_ms: Sequence[float]
    disturbed_ms: Sequence[float]
    killed: str  # what became of the worker that was killed on purpose
    seconds: float
    troubles: Sequence[str]  # whatever else wasn't as it should be

    @property
    def passed(self) -> bool:
        return not self.verdict.misses and not self.troubles


class View:
    def __init__(self) -> None:
        self.console = Console(highlight=False)
        if not self.console.is_terminal:
            self.console.width = max(self.console.width, plain_width)

    def say(self, text: str = "", style: str = "") -> None:
        self.console.print(Text(text, style), soft_wrap=True)

    def note(self, text: str) -> None:
        self.say(f"  {text}", "dim")

    @contextmanager
    def running(self) -> "Iterator[Running]":
        if self.console.is_terminal:
            with Live(console=self.console, auto_refresh=False, transient=True) as live:
                yield Running(self, live)
        else:
            yield Running(self, None)

    def summary(self, summary: Summary) -> None:
        self._table("Leads by kind, against what the generator of the data knows", kinds(summary.verdict))
        self._table("Leads by the outcome of their last result", outcomes(summary.verdict))
        self._table("What must be nothing, and what it cost", figures(summary))
        if summary.spent.busiest:
            title = f"The busiest locations while something was waiting, against {planned} calls in 10 s"
            self._table(title, pace(summary.spent))
        self._misses(summary)
        self.say()
        if summary.passed:
            told = f"All {summary.leads:,} leads came out right after {summary.seconds:.0f} s"
            self.say(f"{told}, though a worker was killed halfway.", "bold green")
        else:
            self.say("Not all is right.", "bold red")

    def _table(self, title: str, table: Table) -> None:
        self.say()
        self.say(title, "bold")
        self.console.print(table)

    def _misses(self, summary: Summary) -> None:
        grouped: dict[tuple[str, str, str], list[str]] = {}
        for miss in summary.verdict.misses:
            grouped.setdefault((miss.fault, miss.who, miss.kind), []).append(miss.what)
        if grouped:
            self.say()
            self.say(f"Misses: {len(grouped):,}, the first {min(len(grouped), misses_shown)}:", "bold red")
        for (fault, who, kind), whats in list(grouped.items())[:misses_shown]:
            more = f"; and {len(whats) - whats_shown} more" if len(whats) > whats_shown else ""
            self.say(f"  {fault}: {who} ({kind}): {'; '.join(whats[:whats_shown])}{more}")
        for trouble in summary.troubles:
            self.say(trouble, "red")


class Running:
    """Shows how the run stands, as often as that can be read."""

    def __init__(self, view: View, live: Live | None) -> None:
        self._view, self._live = view, live
        self._told = float("-inf")

    def show(self, progress: Progress) -> None:
        if self._live:
            self._live.update(board(progress), refresh=True)
        elif progress.elapsed_s >= self._told + line_every_s:
            self._told = progress.elapsed_s
            self._view.say(line(progress))


def line(progress: Progress) -> str:
    """How the run stands, in a line."""
    results = sum(progress.outcomes.values())
    totals = progress.report.get("totals", {})
    waited = latency(progress.latencies_ms, progress.disturbed_ms)
    return (
        f"  {progress.elapsed_s:5.1f} s  {progress.published:,} of {progress.to_publish:,} events published, "
        f"{results:,} results, Syncs {progress.answered}/{progress.to_sync}{waited}, "
        f"{totals.get('arrivals', 0):,} calls, worst window {totals.get('worst_window', 0)}; {progress.doing}"
    )


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
        "dead letters": f"{progress.buried}",
        "Syncs answered": f"{progress.answered} of {progress.syncs} pressed{waited}",
        "calls spent": f"{totals.get('arrivals', 0):,}, refused {totals.get('refused', 0)}",
        "still to come": f"{progress.waiting:,}",
    }
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


def kinds(verdict: Verdict) -> Table:
    table = plain_table()
    for name in ("kind", "expected", "right", "wrong", "missing"):
        table.add_column(name, justify="left" if name == "kind" else "right")
    for kind, tally in sorted(verdict.kinds.items(), key=lambda item: -item[1].expected):
        style = "" if tally.right == tally.expected else "red"
        table.add_row(
            kind, *(f"{count:,}" for count in (tally.expected, tally.right, tally.wrong, tally.missing)), style=style
        )
    return table


def outcomes(verdict: Verdict) -> Table:
    table = plain_table()
    for name in ("outcome", "should be", "are"):
        table.add_column(name, justify="left" if name == "outcome" else "right")
    for outcome in (*outcome_order, *sorted((verdict.should_be | verdict.are).keys() - set(outcome_order))):
        should, are = verdict.should_be[outcome], verdict.are[outcome]
        if should or are:
            table.add_row(outcome, f"{should:,}", f"{are:,}", style="" if should == are else "red")
    return table


def figures(summary: Summary) -> Table:
    verdict, spent = summary.verdict, summary.spent
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim")
    buried = [miss for miss in verdict.misses if miss.kind == "malformed"]
    calls = spent.calls.total()
    by_kind = ", ".join(f"{kind} {count:,}" for kind, count in spent.calls.most_common())
    rows = {
        "lost": f"{verdict.count('lost')}",
        "repeated": f"{verdict.count('repeated')}",
        "wrong": f"{verdict.count('wrong')}",
        "dead letters": f"{summary.malformed - len(buried)} right of {summary.malformed} malformed",
        "Syncs answered": f"{summary.answered} of {summary.syncs}{latency(summary.latencies_ms, summary.disturbed_ms)}",
        "killed": summary.killed,
        "worst 10 s window": f"{spent.worst_window} calls of at most {server_limit} ({spent.worst_location})",
        "429s": f"{spent.refused}",
        "calls": f"{calls:,} ({by_kind}), {calls / max(1, summary.leads):.3f} a lead",
    }
    for name, value in rows.items():
        table.add_row(name, value)
    return table


def pace(spent: Spent) -> Table:
    table = plain_table()
    for name in ("location", "calls", "for", "in 10 s", "use"):
        table.add_column(name, justify="left" if name == "location" else "right")
    for busy in spent.busiest[:locations_shown]:
        table.add_row(
            busy.location, f"{busy.calls}", f"{busy.seconds:.1f} s", f"{busy.per_window:.1f}", f"{busy.use:.1%}"
        )
    return table


def plain_table() -> Table:
    return Table(box=None, header_style="dim", pad_edge=False, padding=(0, 2))


def latency(latencies_ms: Sequence[float], disturbed_ms: Sequence[float]) -> str:
    told = []
    if latencies_ms:
        told.append(f"p50 {percentile(latencies_ms, 0.5):.0f} ms, p99 {percentile(latencies_ms, 0.99):.0f} ms")
    if disturbed_ms:
        told.append(f"{len(disturbed_ms)} while a worker was dead: at most {disturbed_ms[-1] / 1_000:.1f} s")
    return f" ({'; '.join(told)})" if told else ""


def percentile(ascending: Sequence[float], share: float) -> float:
    """The smallest value that this share of all doesn't exceed."""
    return ascending[max(0, -int(-share * len(ascending) // 1) - 1)]
