"""Show the demo to a person: its phases, the run as it goes (live on a terminal, else lines now and then), and the verdict."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from tests.lab.demo.progress import Progress
from tests.lab.demo.summary import (
    call_price,
    figures,
    job_figures,
    job_outcomes,
    kinds,
    latency,
    outcomes,
    pace,
)
from tests.lab.demo.verdict import Verdict
from tests.lab.harness.calls import planned
from tests.lab.workload.large import Size

line_every_s: Final = 5.0  # where there is no terminal
flaws_shown: Final = 12
plain_width: Final = 80
bar_width: Final = 24


class View:
    def __init__(self) -> None:
        self.console = Console(highlight=False)
        if not self.console.is_terminal:
            self.console.width = max(self.console.width, plain_width)

    def print(self, text: str = "", style: str = "") -> None:
        self.console.print(Text(text, style), soft_wrap=True)

    def note(self, text: str) -> None:
        self.print(f"  {text}", "dim")

    def phase(self, since: float, what: str) -> None:
        self.print(f"{what}, after {time.monotonic() - since:.1f} s")

    def introduce(self, size: Size) -> None:
        self.print("Hydrant demo", "bold")
        sync_all = (
            f"Meanwhile {size.sync_all:,} leads of one more location are synced as a whole.\n" if size.sync_all else ""
        )
        self.print(
            f"Upstream publishes {size.locations} × {size.leads:,} leads to Kafka, and {size.syncs} of them are synced by a\n"
            "person. 2 workers find each lead's HighLevel contact, fill what the lead lacks and import\n"
            "the SMS of synced leads, within each location's rate budget; HighLevel is a simulator.\n"
            f"{sync_all}"
            "Halfway, one of the workers is killed (-9). What comes out is compared with the ground\n"
            "truth of the generated data. It takes little more than a minute.\n"
        )

    @contextmanager
    def running(self) -> Iterator[Callable[[Progress], None]]:
        """Yield a function that shows how the run stands, as often as that can be read."""
        if self.console.is_terminal:
            with Live(console=self.console, auto_refresh=False, transient=True) as live:
                yield lambda progress: live.update(Text("\n".join(progress_lines(progress))), refresh=True)
            return
        shown = float("-inf")

        def show(progress: Progress) -> None:
            nonlocal shown
            if (now := time.monotonic()) >= shown + line_every_s:
                shown = now
                self.print("\n          ".join(progress_lines(progress)))

        yield show

    def show_verdict(self, progress: Progress, verdict: Verdict) -> None:
        self._table("Leads by kind, compared with the ground truth", kinds(progress.workload, verdict, in_job=False))
        self._table("Leads by the outcome of their last result", outcomes(verdict))
        self._table("What must be nothing, and what it cost", figures(progress, verdict))
        if verdict.calls.busiest:
            title = f"The busiest locations while a call was due, against {planned} calls in 10 s"
            self._table(title, pace(verdict.calls))
        for job in progress.workload.jobs:
            self._table(
                f"The Sync All of {job.location}: its leads by kind", kinds(progress.workload, verdict, in_job=True)
            )
            self._table("Its leads by outcome; an unchanged lead has no result", job_outcomes(progress, verdict))
            self._table("What it cost", job_figures(progress, verdict))
            self.print()
            self.print(call_price(progress, verdict), "bold")
        self._show_flaws(verdict)
        self.print()
        if verdict.passed:
            right = f"All {len(progress.workload.leads):,} leads came out right after {verdict.seconds:.0f} s"
            self.print(f"{right}, though a worker was killed halfway.", "bold green")
        else:
            self.print("Not all is right.", "bold red")

    def _table(self, title: str, table: Table) -> None:
        self.print()
        self.print(title, "bold")
        self.console.print(table)

    def _show_flaws(self, verdict: Verdict) -> None:
        if verdict.flaws:
            shown = min(len(verdict.flaws), flaws_shown)
            self.print(f"\nFlaws: {len(verdict.flaws):,}, the first {shown}:", "bold red")
        for flaw in verdict.flaws[:flaws_shown]:
            self.print(f"  {flaw.fault}: {flaw.text}")
        for trouble in verdict.troubles:
            self.print(trouble, "red")


def progress_lines(progress: Progress) -> Iterator[str]:
    """Yield how the run stands, in a few lines of 80 columns."""
    totals = progress.report.get("totals", {})
    results = sum(progress.outcomes.values())
    yield f"{time.monotonic() - progress.since:6.1f} s  {progress.phase}"
    yield (
        f"{progress.published:,} of {progress.to_publish:,} records, {results:,} results, {progress.messages:,} messages, "
        f"{totals.get('arrivals', 0):,} calls, worst window {totals.get('worst_window', 0)}"
    )
    yield f"Syncs {len(progress.answered_at)}/{progress.syncs_due}{latency(progress)}"
    if progress.workload.jobs:
        yield f"Sync All: {'; '.join(job_line(progress))}"


def job_line(progress: Progress) -> Iterator[str]:
    """Yield how the Sync All stands, in pieces."""
    job = progress.job
    if not job:
        yield "requested" if progress.job_at else "not yet requested"
        return
    calls = f"{job.get('calls_spent') or 0:,} calls, {job.get('calls_saved') or 0:,} saved"
    if progress.job_s is not None:
        yield f"{progress.job_state} after {progress.job_s:.1f} s"
        yield calls
        return
    done, total = job.get("leads_done") or 0, job.get("leads_total") or 0
    full = int(done / max(1, total) * bar_width)
    yield "━" * full + "┄" * (bar_width - full)
    yield f"{done:,}/{total:,} leads"
    yield calls if progress.job_state != "paused" else f"paused: {job.get('reason')}"
