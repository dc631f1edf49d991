"""What came of the demo: what is right and what isn't, and what it cost."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from rich.table import Table

from tests.lab.demo.imported import Fault, Messages
from tests.lab.demo.report import Miss, Verdict
from tests.lab.demo.shown import latency, locations_shown, outcome_order, plain_table
from tests.lab.demo.spent import Spent, planned, server_limit

call_each_ms: Final = 10_000 / planned  # of whoever asks for one lead after the other


@dataclass(frozen=True, slots=True)
class JobSummary:
    verdict: Verdict
    planned: int | None  # calls, when it started
    told: Mapping[str, Any]  # the data of sync.completed; empty: there was none
    spent: Spent
    leads: int
    looked_up: int  # leads that need a search at all
    location: str
    seconds: float | None  # None: it didn't end
    disturbed: bool  # while a worker was dead


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
    job: JobSummary | None = None

    @property
    def passed(self) -> bool:
        return not self.misses and not self.troubles

    @property
    def misses(self) -> Sequence[Miss]:
        return [*self.verdict.misses, *(self.job.verdict.misses if self.job else ())]

    @property
    def all_leads(self) -> int:
        return self.leads + (self.job.leads if self.job else 0)

    @property
    def messages(self) -> str:
        """Of the Syncs and the Sync All."""
        all_of_them: list[Messages] = [self.verdict.messages, *([self.job.verdict.messages] if self.job else ())]
        due, imported, lost, repeated = (
            sum(getattr(one, name) for one in all_of_them) for name in ("due", "imported", "lost", "repeated")
        )
        return f"imported {imported:,} of {due:,}, lost {lost:,}, repeated {repeated:,}"

    def count(self, fault: Fault) -> int:
        """Leads and records that it befell."""
        return len({miss.who for miss in self.misses if miss.fault == fault})


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
        "lost": f"{summary.count('lost')}",
        "repeated": f"{summary.count('repeated')}",
        "wrong": f"{summary.count('wrong')}",
        "messages": summary.messages,
        "dead letters": f"{summary.malformed - len(buried)} right of {summary.malformed} malformed",
        "Syncs answered": f"{summary.answered} of {summary.syncs}{latency(summary.latencies_ms, summary.disturbed_ms)}",
        "killed": summary.killed,
        "worst in 10 s": f"{spent.worst_window} calls of at most {server_limit} ({spent.worst_location})",
        "429s": f"{spent.refused + (summary.job.spent.refused if summary.job else 0)}",
        "calls": f"{calls:,} ({by_kind}), {calls / max(1, summary.leads):.3f} a lead",
    }
    for name, value in rows.items():
        table.add_row(name, value)
    return table


def job_outcomes(job: JobSummary) -> Table:
    table = plain_table()
    for name in ("outcome", "should be", "are", "sync.completed says"):
        table.add_column(name, justify="left" if name == "outcome" else "right")
    for outcome in outcome_order[1:]:
        should, are = job.verdict.should_be[outcome], job.verdict.are[outcome]
        told = job.told.get(outcome)
        if should or are or told:
            style = "" if should == are == told else "red"
            table.add_row(outcome, f"{should:,}", f"{are:,}", "–" if told is None else f"{told:,}", style=style)
    return table


def job_figures(job: JobSummary) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim")
    by_kind = ", ".join(f"{kind} {count:,}" for kind, count in job.spent.calls.most_common())
    filled = sum((job.told.get("filled") or {}).values())
    rows = {
        "plan": f"{job.told.get('plan')}, {job.planned} calls",
        "calls made": f"{job.spent.calls.total():,} ({by_kind})",
        "calls told": f"{job.told.get('calls_spent')} spent, {job.told.get('calls_saved') or 0:,} saved",
        "fields filled": f"{filled:,}",
        "messages told": f"{job.told.get('messages_imported') or 0:,} imported",
        "worst in 10 s": f"{job.spent.worst_window} calls of at most {server_limit}",
    }
    for name, value in rows.items():
        table.add_row(name, value)
    return table


def price(job: JobSummary) -> str:
    """What it cost, and what one search a lead would have, for those that need one."""
    took = "which didn't end" if job.seconds is None else f"{job.seconds:.1f} s"
    if job.disturbed:
        took += ", though a worker was killed"
    minutes = job.looked_up * call_each_ms / 60_000
    return (
        f"{job.leads:,} leads: {job.spent.calls.total():,} calls, {took};\n"
        f"one search for each that needs one would have been {job.looked_up:,} calls and {minutes:.0f} min."
    )


def pace(spent: Spent) -> Table:
    table = plain_table()
    for name in ("location", "calls", "for", "in 10 s", "use"):
        table.add_column(name, justify="left" if name == "location" else "right")
    for busy in spent.busiest[:locations_shown]:
        table.add_row(
            busy.location, f"{busy.calls}", f"{busy.seconds:.1f} s", f"{busy.per_window:.1f}", f"{busy.use:.1%}"
        )
    return table
