"""What a person sees of the demo: phases, the run as it goes (a live table on a terminal, else lines now and then), the summary."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from tests.lab.demo.progress import Progress, board, line
from tests.lab.demo.spent import planned
from tests.lab.demo.summary import (
    JobSummary,
    Summary,
    figures,
    job_figures,
    job_outcomes,
    kinds,
    outcomes,
    pace,
    price,
)

line_every_s: Final = 5.0  # where there is no terminal
misses_shown: Final = 12
whats_shown: Final = 3  # of one miss
plain_width: Final = 80


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
        if summary.job:
            self._job(summary.job)
        self._misses(summary)
        self.say()
        if summary.passed:
            told = f"All {summary.all_leads:,} leads came out right after {summary.seconds:.0f} s"
            self.say(f"{told}, though a worker was killed halfway.", "bold green")
        else:
            self.say("Not all is right.", "bold red")

    def _job(self, job: JobSummary) -> None:
        self._table(f"The Sync All of {job.location}: its leads by kind", kinds(job.verdict))
        self._table("Its leads by outcome; an unchanged one has no result", job_outcomes(job))
        self._table("What it cost", job_figures(job))
        self.say()
        self.say(price(job), "bold")

    def _table(self, title: str, table: Table) -> None:
        self.say()
        self.say(title, "bold")
        self.console.print(table)

    def _misses(self, summary: Summary) -> None:
        grouped: dict[tuple[str, str, str], list[str]] = {}
        for miss in summary.misses:
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
