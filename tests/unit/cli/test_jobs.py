"""The commands of jobs at the door: what each asks for, shows and exits with, on scripted events."""

import asyncio
import io
import json
import os
import signal
from collections.abc import Iterator, Sequence
from functools import partial

import pytest
from rich.console import Console
from typer.testing import CliRunner, Result

from processor import cli
from processor.cli import watching
from processor.commands import jobs
from processor.commands.jobs import Job
from processor.commands.progress import Progress, Said
from processor.settings import Settings
from tests.unit.commands.job_script import beginning, noon, part, pausing, said, utc


def hydrant(*arguments: str, **environ: str) -> Result:
    return CliRunner().invoke(cli.app, arguments, env=environ, prog_name="hydrant")


class Stage:
    """Plays what is said while a command watches; None: a second passes, "past": what was said before is read."""

    def __init__(self) -> None:
        self.asked: list[Job] = []
        self.again: list[bool] = []
        self.script: Sequence[Said | str | None] = [said("started", data=beginning), said("completed", 5)]
        self.now = noon

    async def ask(self, settings: Settings, job: Job) -> None:
        self.asked.append(job)

    async def watch(self, settings: Settings, job: Job, progress: Progress, see: jobs.See, *, again: bool) -> None:
        self.asked.append(job)
        self.again.append(again)
        progress.heard_ms = self.now
        for one in self.script:
            if isinstance(one, Said):
                self.now = progress.heard_ms = max(self.now, one.at_ms)
                progress.hear(one)
                see(one)
            elif one == "past":
                progress.live = True
                see(None)
            elif one == "signal":
                signal.raise_signal(signal.SIGTERM)
                await asyncio.Event().wait()
            else:
                self.now += 1_000
                see(None)


@pytest.fixture(autouse=True)
def stage(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    """No settings but a test's own; the clock is the script's."""
    for name in [name for name in os.environ if name.startswith(("KAFKA_", "GHL_", "HYDRANT_", "SYNC_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("COLUMNS", "200")
    made = Stage()
    monkeypatch.setattr(jobs, "ask", made.ask)
    monkeypatch.setattr(jobs, "watch", made.watch)
    monkeypatch.setattr(watching, "now_ms", lambda: made.now)
    with utc():
        yield made


def lines(shown: Result) -> list[str]:
    return [line.rstrip() for line in shown.stdout.splitlines()]


def test_a_sync_all_is_asked_for_and_left_to_the_workers(stage: Stage) -> None:
    """It says how to come back to it, in commands that can be copied."""
    shown = hydrant("sync-all", "L1", "--no-messages", "--request-id", "a'b")

    assert 0 == shown.exit_code
    assert [
        "requested: a'b",
        """watch it:  hydrant sync-all L1 --no-messages --watch --request-id 'a'"'"'b'""",
        """cancel it: hydrant cancel 'a'"'"'b' L1""",
    ] == lines(shown)
    assert [Job("a'b", "L1", include_messages=False)] == stage.asked


def test_a_backfill_is_asked_for_and_left_to_the_workers(stage: Stage) -> None:
    shown = hydrant("backfill", "--request-id", "R")

    assert [
        "requested: R",
        "watch it:  hydrant backfill --watch --request-id R",
        "cancel it: hydrant cancel R",
    ] == lines(shown)
    assert [Job("R", None, include_messages=False)] == stage.asked


@pytest.mark.parametrize("command", [["sync-all", "L1"], ["backfill"]])
def test_a_request_has_an_id_of_its_own_unless_told(stage: Stage, command: list[str]) -> None:
    told = [json.loads(hydrant(*command, "--json").stdout) for _ in range(2)]

    assert [{"request_id": job.request_id} for job in stage.asked] == told
    assert told[0] != told[1]


@pytest.mark.parametrize(("arguments", "again"), [([], False), (["--request-id", "R"], True)])
def test_only_a_job_that_can_be_known_is_looked_for(stage: Stage, arguments: list[str], again: bool) -> None:
    hydrant("sync-all", "L1", "--watch", *arguments)

    assert [again] == stage.again


def test_a_watched_sync_all_tells_how_it_goes(stage: Stage) -> None:
    """Where there is no terminal: what is new at once, how far it is every five seconds, no control codes."""
    stage.script = [
        None,
        said("started", 1, beginning),
        said("progressed", 2),
        said("progressed", 6),
        None,
        said("progressed", 7),
        said("paused", 8, pausing),
        said("paused", 9, pausing),
        said("progressed", 10),
        said("progressed", 12, leads_done=1_800),
        said("completed", 20, leads_done=1_800, updated=1_795),
    ]
    shown = hydrant("sync-all", "L1", "--watch")

    stood = "updated 95 · unchanged 2 · not_found 2 · ambiguous 1; calls 10 spent of about 30 planned, 90 saved"
    assert [
        f"12:00:00  Sync All of L1, request {stage.asked[0].request_id}",
        "12:00:01  opening its leads…",
        "12:00:01  started; scan: page through the location's contacts; 1,800 leads; about 30 calls planned; done in 29 s",
        f"12:00:06  100 of 1,800 leads (5 %), 20 leads/s; {stood}; done in 19 s",
        "12:00:08  paused: daily_budget until 15:00:08 (in 3 h): the day's share of calls is spent",
        "12:00:10  goes on",
        f"12:00:12  1,800 of 1,800 leads (100 %), 170 leads/s; {stood}; done in 13 s",
        "Sync All of L1 completed after 20 s: 90 leads/s",
        "  updated    1,795",
        "  unchanged      2",
        "  created        0",
        "  not_found      2",
        "  ambiguous      1",
        "  failed         0",
        "  leads      1,800",
        "  filled             contact_id 95 · phone 40",
        "  calls              10 spent of about 30 planned, 90 saved",
        "  one search a lead  would have been 100 calls: 11 s at 90 in 10 s",
        f"  request            {stage.asked[0].request_id}",
    ] == lines(shown)
    assert 0 == shown.exit_code


def test_a_watched_backfill_tells_of_its_partitions(stage: Stage) -> None:
    """Figures are sums, pauses are a partition's, and what many locations would have taken in time is not told."""
    stage.script = [
        part("started", 0, 1, leads_total=900, leads_done=0),
        part("paused", 1, 2, reason="unauthorized"),
        part("progressed", 0, 6),
        part("progressed", 1, 7),
        part("completed", 0, 8, eta=None),
        part("completed", 1, 9, eta=None),
    ]
    shown = hydrant("backfill", "--watch")

    twice = "updated 190 · unchanged 4 · not_found 4 · ambiguous 2; calls 20 spent of about 60 planned, 180 saved"
    begin = "updated 95 · unchanged 2 · not_found 2 · ambiguous 1; calls 10 spent of about 30 planned, 90 saved"
    assert [
        f"12:00:00  Backfill of all locations, request {stage.asked[0].request_id}",
        f"12:00:01  0 of 900 leads (0 %); {begin}; done in 24 s; partitions 0 of 2 done, 1 not heard of",
        "12:00:02  paused: partition 1: unauthorized",
        f"12:00:06  200 of 3,600 leads (5 %), 40 leads/s; {twice}; done in 19 s; partitions 0 of 2 done",
        "12:00:07  partition 1 goes on",
        "Backfill of all locations completed after 9 s: 22 leads/s",
        "  updated      190",
        "  unchanged      4",
        "  created        0",
        "  not_found      4",
        "  ambiguous      2",
        "  failed         0",
        "  not done   3,400",
        "  leads      3,600",
        "  filled             contact_id 190 · phone 80",
        "  calls              20 spent of about 60 planned, 180 saved",
        "  one search a lead  would have been 200 calls",
        "  partitions         2 of 2 done",
        f"  request            {stage.asked[0].request_id}",
    ] == lines(shown)


def test_a_job_found_under_way_is_told_from_where_it_is(stage: Stage) -> None:
    """What was said before isn't told line by line."""
    stage.script = [
        None,
        said("started", 1, beginning),
        said("paused", 2, pausing),
        said("progressed", 10),
        "past",
        said("completed", 11),
    ]
    shown = hydrant("sync-all", "L1", "--watch", "--request-id", "R")

    told = lines(shown)
    assert "12:00:01  reading what was said of it…" == told[1]
    assert told[2].startswith("12:00:10  100 of 1,800 leads (5 %)")
    assert told[3].startswith("Sync All of L1 completed after 11 s")


def test_silence_is_told_once_and_waited_through(stage: Stage) -> None:
    stage.script = [*[None] * 60, *stage.script, *[None] * 40, said("completed", 110)]
    shown = hydrant("sync-all", "L1", "--watch")

    assert ["12:00:30  nothing heard for 30 s: no worker seems to run; still waiting"] == [
        line for line in lines(shown) if "nothing heard" in line
    ]


def test_for_a_program_every_event_is_a_line(stage: Stage) -> None:
    stage.script = [None, *stage.script]
    shown = hydrant("sync-all", "L1", "--watch", "--json", "--request-id", "R")

    events = [one for one in stage.script if isinstance(one, Said)]
    assert [{"type": one.kind, **one.data} for one in events] == [json.loads(line) for line in lines(shown)]


def test_for_a_program_a_backfill_is_summed_at_the_end(stage: Stage) -> None:
    stage.script = [part("started", 1), part("completed", 0), part("cancelled", 1)]
    shown = hydrant("backfill", "--watch", "--json", "--request-id", "R")

    *each, total = (json.loads(line) for line in lines(shown))
    assert [{"type": one.kind, **one.data} for one in stage.script if isinstance(one, Said)] == each
    assert ("sync.cancelled", "R", None, 2, 200, 20) == tuple(
        total[name] for name in ("type", "request_id", "partition", "partitions", "leads_done", "calls_spent")
    )


def test_for_a_program_silence_is_no_event(stage: Stage) -> None:
    stage.script = [*[None] * 40, *stage.script]
    shown = hydrant("sync-all", "L1", "--watch", "--json")

    assert 2 == len(lines(shown))
    assert "hydrant: nothing heard for 30 s: no worker seems to run; still waiting\n" == shown.stderr


@pytest.mark.parametrize(
    ("end", "code", "shown"),
    [
        (said("completed"), 0, "completed"),
        (said("completed", failed=3), 1, "failed         3"),
        (said("failed", reason="refused"), 1, "why                refused"),
        (said("cancelled"), 1, "not done   1,700"),
        (said("completed", leads_done=104), 0, "other          4"),
    ],
)
def test_a_watched_job_exits_by_how_it_ended(stage: Stage, end: Said, code: int, shown: str) -> None:
    stage.script = [end]
    ended = hydrant("sync-all", "L1", "--watch")

    assert code == ended.exit_code
    assert shown in ended.stdout


def test_whoever_leaves_leaves_the_job_running(stage: Stage) -> None:
    """And is told how to come back. It is no success: a script that waits must not take it for one."""
    stage.script = [said("progressed"), "signal"]
    ended = hydrant("sync-all", "L1", "--watch", "--request-id", "R")

    assert 1 == ended.exit_code
    assert [
        "hydrant: left; the job goes on (100 of 1,800 leads (5 %))",
        "hydrant: watch it:  hydrant sync-all L1 --watch --request-id R",
        "hydrant: cancel it: hydrant cancel R L1",
    ] == ended.stderr.splitlines()


def test_a_dry_run_shows_its_plan(stage: Stage) -> None:
    stage.script = [said("started", 4, {**beginning, "calls_spent": 1})]
    shown = hydrant("sync-all", "L1", "--dry-run", GHL_REQUESTS_PER_10S="45")

    assert [
        f"12:00:00  Dry run: Sync All of L1, request {stage.asked[0].request_id}",
        "Dry run: Sync All of L1, nothing done",
        "  plan               scan: page through the location's contacts",
        "  leads              1,800",
        "  calls              about 30",
        "  time               about 26 s",
        "  one search a lead  1,800 calls: 7 min at 45 in 10 s",
        "  spent on this      1 call",
    ] == lines(shown)
    assert (0, [True]) == (shown.exit_code, [job.dry_run for job in stage.asked])


def test_a_dry_run_of_all_locations_sums_up(stage: Stage) -> None:
    stage.script = [part("started", 0, 1, calls_spent=0), part("started", 1, 1, leads_total=0, calls_planned=0)]
    told = lines(hydrant("backfill", "--dry-run"))

    assert ["  leads              1,800", "  calls              about 30"] == told[2:4]
    assert "  one search a lead  1,800 calls" in told


def test_a_dry_run_for_a_program_is_one_line(stage: Stage) -> None:
    stage.script = [said("started", 4, beginning)]
    told = json.loads(hydrant("sync-all", "L1", "--dry-run", "--json", "--request-id", "R").stdout)

    assert {"type": "sync.started", "request_id": "R", "location_id": "L1", **beginning} == {
        name: value for name, value in told.items() if value is not None
    }


@pytest.mark.parametrize("arguments", [[], ["--json"]])
def test_a_dry_run_without_a_plan_fails(stage: Stage, arguments: list[str]) -> None:
    stage.script = [said("paused", 1, pausing), said("failed", 2, reason="refused")]
    ended = hydrant("sync-all", "L1", "--dry-run", *arguments)

    assert 1 == ended.exit_code
    assert "refused" in ended.output


def test_a_dry_run_that_is_left_says_so(stage: Stage) -> None:
    stage.script = ["signal"]
    ended = hydrant("sync-all", "L1", "--dry-run", "--request-id", "R")

    assert (1, "hydrant: left before the plan was known (request R)\n") == (ended.exit_code, ended.stderr)


def test_the_id_of_a_dry_run_is_no_jobs(stage: Stage) -> None:
    stage.script = [said("cancelled", reason="dry_run"), "past"]
    ended = hydrant("sync-all", "L1", "--watch", "--request-id", "R")

    assert (1, "hydrant: request R was a dry run: take another id\n") == (ended.exit_code, ended.stderr)


@pytest.mark.parametrize(
    ("events", "code", "told"),
    [
        ([said("cancelled")], 0, "cancelled: 100 of 1,800 leads (5 %) done"),
        ([said("completed")], 1, "hydrant: over already: completed, 100 of 1,800 leads (5 %) done"),
        (
            [said("progressed")],
            1,
            "hydrant: asked, but it isn't over yet: does its worker run? One that comes will cancel it",
        ),
        ([], 1, "hydrant: nothing heard of it: unknown, or over already"),
    ],
)
def test_a_cancel_says_what_came_of_it(
    monkeypatch: pytest.MonkeyPatch, events: list[Said], code: int, told: str
) -> None:
    cancelling(monkeypatch, *events)
    ended = hydrant("cancel", "R", "L1")

    assert (code, f"{told}\n") == (ended.exit_code, ended.output)


def test_a_cancel_without_a_location_says_that_it_was_taken_for_a_backfills(monkeypatch: pytest.MonkeyPatch) -> None:
    cancelling(monkeypatch)

    assert [
        "hydrant: nothing heard of it: unknown, or over already",
        "hydrant: it was taken for a backfill: a Sync All is cancelled by request and LOCATION",
    ] == hydrant("cancel", "R").stderr.splitlines()


def test_a_cancelled_backfill_says_how_many_partitions_are_over(monkeypatch: pytest.MonkeyPatch) -> None:
    cancelling(monkeypatch, part("cancelled", 0), part("progressed", 1))

    assert hydrant("cancel", "R").stderr.endswith("will cancel it; partitions: 1 of 2 done\n")


@pytest.mark.parametrize(("end", "code"), [("cancelled", 0), ("completed", 1)])
def test_a_cancel_for_a_program_prints_the_end(monkeypatch: pytest.MonkeyPatch, end: str, code: int) -> None:
    cancelling(monkeypatch, said(end))
    ended = hydrant("cancel", "R", "L1", "--json")

    told = json.loads(ended.stdout)
    assert (code, f"sync.{end}", 100) == (ended.exit_code, told["type"], told["leads_done"])


def test_a_cancel_need_not_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, str | None]] = []

    async def ask_to_cancel(settings: Settings, request_id: str, location_id: str | None) -> None:
        asked.append((request_id, location_id))

    monkeypatch.setattr(jobs, "ask_to_cancel", ask_to_cancel)

    assert "asked to cancel: R\n" == hydrant("cancel", "R", "--no-wait").stdout
    assert {"request_id": "R"} == json.loads(hydrant("cancel", "R", "L1", "--no-wait", "--json").stdout)
    assert [("R", None), ("R", "L1")] == asked


def cancelling(monkeypatch: pytest.MonkeyPatch, *events: Said) -> None:
    """What is heard of the job when it is cancelled."""

    async def cancel(settings: Settings, request_id: str, location_id: str | None, within_s: float) -> Progress:
        progress = Progress(request_id, location_id)
        for one in events:
            progress.hear(one)
        return progress

    monkeypatch.setattr(jobs, "cancel", cancel)


def test_the_board_is_live_on_a_terminal_only(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    screen = io.StringIO()
    monkeypatch.setattr(
        watching, "Console", partial(Console, file=screen, force_terminal=True, width=80, _environ={"TERM": "xterm"})
    )
    hydrant("sync-all", "L1", "--watch")

    assert "\x1b[?25l" in screen.getvalue()  # the cursor is hidden
    assert screen.getvalue().rindex("\x1b[?25h") > screen.getvalue().rindex("Ctrl-C leaves the job running.")
    assert screen.getvalue().rindex("completed after 5 s") > screen.getvalue().rindex("\x1b[?25h")
