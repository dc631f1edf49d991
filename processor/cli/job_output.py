"""Print a watched job: a line for each change for people, a line of JSON for each event for programs."""

import json
from collections.abc import Iterator
from typing import Final

import typer

from processor.cli import job_text
from processor.cli.exits import print_errors
from processor.cli.job_progress import JobEvent, JobProgress
from processor.cli.operations import now_ms
from processor.cli.text import local_time

line_every_ms: Final = 5_000  # a running job's figures change all the time


class JobLines:
    """Prints changes at once, and the figures of a running job every few seconds."""

    def __init__(self, progress: JobProgress, dry_run: bool, per_10s: int) -> None:
        self._progress, self._dry_run, self._per_10s = progress, dry_run, per_10s
        self._phase, self._silent = "", False
        self._pauses: dict[int, object] = {}  # partition → reason
        self._printed_ms, self._unprinted = now_ms(), False
        self._print(f"{job_text.title(progress, dry_run)}, request {progress.request_id}")

    def on_event(self, event: JobEvent | None) -> None:
        """Print what an applied event, or a tick without one, has changed."""
        now = now_ms()
        self._unprinted |= event is not None
        for change in (*self._phase_changes(now), *self._pause_changes(now), *self._silence(now)):
            self._print(change)
        running = self._phase == "running" and not self._dry_run
        if running and self._unprinted and now >= self._printed_ms + line_every_ms:
            self._printed_ms, self._unprinted = now, False
            self._print(job_text.running_line(self._progress, now))

    def finish(self) -> None:
        """Print the summary of the job, or the plan of a dry run."""
        progress, problem = self._progress, self._progress.missing_plan() if self._dry_run else None
        if problem is not None:
            print_errors(f"no plan: {problem}")
        elif self._dry_run:
            typer.echo("\n".join(job_text.plan_lines(progress, self._per_10s)))
        elif progress.phase == "cancelled" and progress.totals()["reason"] == "dry_run":
            print_errors(f"request {progress.request_id} was a dry run: take another id")
        else:
            typer.echo("\n".join(job_text.summary_lines(progress, self._per_10s)))

    def _phase_changes(self, now: int) -> Iterator[str]:
        before, self._phase = self._phase, self._progress.phase if self._progress.live else "reading"
        if self._phase == before:
            return
        if self._phase in ("reading", "opening"):
            yield job_text.opening_line(self._progress)
        elif self._phase == "running" and not self._pauses and not self._dry_run:
            self._printed_ms, self._unprinted = now, False
            yield job_text.running_line(self._progress, now)

    def _pause_changes(self, now: int) -> Iterator[str]:
        progress = self._progress
        if not progress.live or progress.ended:
            return
        paused = {partition: event.data for partition, event in progress.paused()}
        before, self._pauses = self._pauses, {partition: data.get("reason") for partition, data in paused.items()}
        for partition, data in paused.items():
            if partition not in before or before[partition] != data.get("reason"):
                yield f"paused: {job_text.pause_line(progress, partition, data, now)}"
        for partition in sorted(before.keys() - paused.keys()):
            yield "goes on" if progress.location_id is not None else f"partition {partition} goes on"

    def _silence(self, now: int) -> Iterator[str]:
        before, silent_ms = self._silent, self._progress.silent_ms(now)
        self._silent = silent_ms is not None
        if silent_ms is not None and not before:
            yield job_text.silence_line(silent_ms)

    def _print(self, text: str) -> None:
        typer.echo(f"{local_time(now_ms() / 1_000)}  {text}")


class JobJson:
    """Prints each event; at the end a backfill's totals, and of a dry run only its plan."""

    def __init__(self, progress: JobProgress, dry_run: bool) -> None:
        self._progress, self._dry_run, self._silent = progress, dry_run, False

    def on_event(self, event: JobEvent | None) -> None:
        """Print an applied event, and a warning to standard error once workers are silent."""
        if event is not None and not self._dry_run:
            typer.echo(json.dumps({"type": event.kind, **event.data}))
        before, silent_ms = self._silent, self._progress.silent_ms(now_ms())
        self._silent = silent_ms is not None
        if silent_ms is not None and not before:
            print_errors(job_text.silence_line(silent_ms))

    def finish(self) -> None:
        """Print the job as a whole where its events haven't shown it."""
        progress = self._progress
        if self._dry_run and progress.missing_plan() is None:
            plan = {name: value for name, value in progress.plan().items() if name != "takes_ms"}
            typer.echo(json.dumps({"type": "sync.started", **plan}))
        elif self._dry_run or progress.location_id is None:
            typer.echo(end_json(progress))


def end_json(progress: JobProgress) -> str:
    """Return how the job as a whole ended, as an event's type and data."""
    return json.dumps({"type": f"sync.{progress.phase}", **progress.totals()})
