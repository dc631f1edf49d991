"""Where a watched job is shown: live on a terminal, else a line now and then, or JSON for programs."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import typer
from rich.console import Console
from rich.live import Live
from rich.text import Text

from processor.cli import shown_jobs
from processor.cli.exits import say
from processor.cli.shown import clock
from processor.commands.jobs import Job, now_ms
from processor.commands.progress import Progress, Said

line_every_ms: Final = 5_000  # where there is no terminal
refresh_every_ms: Final = 200  # many partitions say much
plain_width: Final = 120


class View:
    """`see` is told each event once `progress` has heard it, and None now and then; `summary` comes at the end."""

    def __init__(self, job: Job, progress: Progress, console: Console, per_10s: int) -> None:
        self.job, self.progress, self.console, self.per_10s = job, progress, console, per_10s
        self.since = now_ms()

    def see(self, said: Said | None) -> None:
        raise NotImplementedError

    def summary(self) -> None:
        progress, how = self.progress, self.progress.refusal() if self.job.dry_run else None
        if how is not None:
            say(f"no plan: {how}")
        elif self.job.dry_run:
            self.console.print(shown_jobs.plan(progress, self.per_10s))
        elif progress.phase == "cancelled" and progress.stand()["reason"] == "dry_run":
            say(f"request {progress.request_id} was a dry run: take another id")
        else:
            self.console.print(shown_jobs.summary(progress, self.per_10s))


class Board(View):
    """Live, in place; gone when it ends."""

    def __init__(self, job: Job, progress: Progress, console: Console, per_10s: int, live: Live) -> None:
        super().__init__(job, progress, console, per_10s)
        self._live, self._shown = live, 0

    def see(self, said: Said | None) -> None:
        now = now_ms()
        if said is None or now >= self._shown + refresh_every_ms:
            self._shown = now
            elapsed_s = (now - self.since) / 1_000
            self._live.update(shown_jobs.board(self.progress, self.job.dry_run, elapsed_s, now), refresh=True)


class Lines(View):
    """What is new at once, how far it is every few seconds."""

    def __init__(self, job: Job, progress: Progress, console: Console, per_10s: int) -> None:
        super().__init__(job, progress, console, per_10s)
        self._phase, self._paused, self._silent = "", dict[int, object](), False
        self._line_at, self._unsaid = self.since, False
        self._line(f"{shown_jobs.title(progress, job.dry_run)}, request {job.request_id}")

    def see(self, said: Said | None) -> None:
        progress, now = self.progress, now_ms()
        self._unsaid |= said is not None
        for text in self._news(now):
            self._line(text)
        running = self._phase == "running" and not self.job.dry_run
        if running and self._unsaid and now >= self._line_at + line_every_ms:
            self._line_at, self._unsaid = now, False
            self._line(shown_jobs.line(progress, now))

    def _news(self, now: int) -> Iterator[str]:
        progress = self.progress
        before, self._phase = self._phase, progress.phase if progress.live else "reading"
        if self._phase == "running" and before != "running" and not self._paused and not self.job.dry_run:
            self._line_at, self._unsaid = now, False
            yield shown_jobs.started(progress, now)
        elif self._phase != before and self._phase in ("reading", "opening"):
            yield shown_jobs.opening(progress)
        if progress.live and not progress.over:
            was, pauses = self._paused, {at: said.data for at, said in progress.paused()}
            self._paused = {at: data.get("reason") for at, data in pauses.items()}
            for at, data in pauses.items():
                if at not in was or was[at] != data.get("reason"):
                    yield f"paused: {shown_jobs.pause(progress, at, data, now)}"
            for at in sorted(was.keys() - pauses.keys()):
                yield "goes on" if progress.location_id is not None else f"partition {at} goes on"
        was_silent, self._silent = self._silent, (silent := progress.silent_ms(now)) is not None
        if silent is not None and not was_silent:
            yield shown_jobs.silence(silent)

    def _line(self, text: str) -> None:
        self.console.print(Text(f"{clock(now_ms() / 1_000)}  {text}"), soft_wrap=True)


class Json(View):
    """A line for each event; at the end a backfill's sum, a dry run's plan and nothing else."""

    def __init__(self, job: Job, progress: Progress, console: Console, per_10s: int) -> None:
        super().__init__(job, progress, console, per_10s)
        self._silent = False

    def see(self, said: Said | None) -> None:
        if said is not None and not self.job.dry_run:
            typer.echo(json.dumps({"type": said.kind, **said.data}))
        was_silent, self._silent = self._silent, (silent := self.progress.silent_ms(now_ms())) is not None
        if silent is not None and not was_silent:
            say(shown_jobs.silence(silent))

    def summary(self) -> None:
        progress = self.progress
        if self.job.dry_run and progress.refusal() is None:
            plan = {name: value for name, value in progress.plan().items() if name != "takes_ms"}
            typer.echo(json.dumps({"type": "sync.started", **plan}))
        elif self.job.dry_run or progress.location_id is None:
            typer.echo(end(progress))


@contextmanager
def view(job: Job, progress: Progress, as_json: bool, per_10s: int) -> Iterator[View]:
    console = Console(highlight=False)
    if as_json:
        yield Json(job, progress, console, per_10s)
    elif console.is_terminal and not console.is_dumb_terminal:
        with Live(console=console, auto_refresh=False, transient=True) as live:
            yield Board(job, progress, console, per_10s, live)
    else:
        console.width = max(console.width, plain_width)
        yield Lines(job, progress, console, per_10s)


def end(progress: Progress) -> str:
    """How the job as a whole ended, as an event's type and data."""
    return json.dumps({"type": f"sync.{progress.phase}", **progress.stand()})
