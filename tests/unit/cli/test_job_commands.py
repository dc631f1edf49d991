"""The commands of jobs: what each requests, prints and exits with, on scripted events."""

import asyncio
import json
import os
import signal
from collections.abc import Iterator, Sequence

import pytest
from typer.testing import CliRunner, Result

from processor import cli
from processor.cli import job_output, job_watch, operations
from processor.cli.job_progress import JobEvent, JobProgress
from processor.cli.job_watch import OnEvent
from processor.cli.operations import JobRequest, OperatorRequest
from processor.events.contract import SyncBackfillRequested, SyncCancelRequested, SyncLocationRequested
from processor.settings import Settings
from tests.unit.cli.job_script import job_event, noon, partition_event, pause_data, start_data, utc


def hydrant(*arguments: str, **environ: str) -> Result:
    return CliRunner().invoke(cli.command_line, arguments, env=environ, prog_name="hydrant")


class Stage:
    """Plays a script while a command watches. None: a second passes; "past": the past has been read."""

    def __init__(self) -> None:
        self.requests: list[OperatorRequest] = []
        self.resumed: list[bool] = []
        self.script: Sequence[JobEvent | str | None] = [
            job_event("started", data=start_data),
            job_event("completed", 5),
        ]
        self.now = noon

    async def publish_request(self, settings: Settings, request: OperatorRequest) -> None:
        self.requests.append(request)

    async def watch_job(
        self, settings: Settings, request: JobRequest, progress: JobProgress, on_event: OnEvent, *, resume: bool
    ) -> None:
        self.requests.append(request)
        self.resumed.append(resume)
        progress.last_sign_ms = self.now
        for step in self.script:
            if isinstance(step, JobEvent):
                self.now = progress.last_sign_ms = max(self.now, step.at_ms)
                progress.apply(step)
                on_event(step)
            elif step == "past":
                progress.live = True
                on_event(None)
            elif step == "signal":
                signal.raise_signal(signal.SIGTERM)
                await asyncio.Event().wait()
            else:
                self.now += 1_000
                on_event(None)


@pytest.fixture(autouse=True)
def stage(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    """Return a stage. The environment has no settings, and the clock is the script's."""
    for name in [name for name in os.environ if name.startswith(("KAFKA_", "GHL_", "HYDRANT_", "SYNC_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("COLUMNS", "200")
    made = Stage()
    monkeypatch.setattr(operations, "publish_request", made.publish_request)
    monkeypatch.setattr(job_watch, "watch_job", made.watch_job)
    monkeypatch.setattr(job_output, "now_ms", lambda: made.now)
    with utc():
        yield made


def lines(shown: Result) -> list[str]:
    return [line.rstrip() for line in shown.stdout.splitlines()]


def test_a_sync_all_is_requested_and_belongs_to_the_workers(stage: Stage) -> None:
    """The next commands can be copied."""
    shown = hydrant("sync-all", "L1", "--no-messages", "--request-id", "a'b")

    assert 0 == shown.exit_code
    assert [
        "requested: a'b",
        """watch it:  hydrant sync-all L1 --no-messages --watch --request-id 'a'"'"'b'""",
        """cancel it: hydrant cancel 'a'"'"'b' L1""",
    ] == lines(shown)
    assert [SyncLocationRequested(request_id="a'b", location_id="L1", include_messages=False)] == stage.requests


def test_a_backfill_is_requested_and_belongs_to_the_workers(stage: Stage) -> None:
    shown = hydrant("backfill", "--request-id", "R")

    assert [
        "requested: R",
        "watch it:  hydrant backfill --watch --request-id R",
        "cancel it: hydrant cancel R",
    ] == lines(shown)
    assert [SyncBackfillRequested(request_id="R")] == stage.requests


@pytest.mark.parametrize("command", [["sync-all", "L1"], ["backfill"]])
def test_a_request_has_a_new_id_by_default(stage: Stage, command: list[str]) -> None:
    printed = [json.loads(hydrant(*command, "--json").stdout) for _ in range(2)]

    assert [{"request_id": job.request_id} for job in stage.requests] == printed
    assert printed[0] != printed[1]


@pytest.mark.parametrize(("arguments", "resume"), [([], False), (["--request-id", "R"], True)])
def test_only_a_given_request_id_resumes_a_watch(stage: Stage, arguments: list[str], resume: bool) -> None:
    hydrant("sync-all", "L1", "--watch", *arguments)

    assert [resume] == stage.resumed


def test_a_watched_sync_all_prints_its_progress(stage: Stage) -> None:
    """Changes are printed at once, figures every five seconds."""
    stage.script = [
        None,
        job_event("started", 1, start_data),
        job_event("progressed", 2),
        job_event("progressed", 6),
        None,
        job_event("progressed", 7),
        job_event("paused", 8, pause_data),
        job_event("paused", 9, pause_data),
        job_event("progressed", 10),
        job_event("progressed", 12, leads_done=1_800),
        job_event("completed", 20, leads_done=1_800, updated=1_795),
    ]
    shown = hydrant("sync-all", "L1", "--watch")

    figures = "updated 95 · unchanged 2 · not_found 2 · ambiguous 1; calls 10 spent of about 30 planned, 90 saved"
    assert [
        f"12:00:00  Sync All of L1, request {stage.requests[0].request_id}",
        "12:00:01  opening its leads…",
        "12:00:01  scan; 0 of 1,800 leads (0 %); calls 0 spent of about 30 planned; done in 29 s",
        f"12:00:06  scan; 100 of 1,800 leads (5 %), 20 leads/s; {figures}; done in 19 s",
        "12:00:08  paused: daily_budget until 15:00:08 (in 3 h): the day's share of calls is spent",
        "12:00:10  goes on",
        f"12:00:12  scan; 1,800 of 1,800 leads (100 %), 170 leads/s; {figures}; done in 13 s",
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
        f"  request            {stage.requests[0].request_id}",
    ] == lines(shown)
    assert 0 == shown.exit_code


def test_a_watched_backfill_prints_its_partitions(stage: Stage) -> None:
    """Figures are sums, and a pause names its partition. The time of one search a lead is unknown."""
    stage.script = [
        partition_event("started", 0, 1, leads_total=900, leads_done=0),
        partition_event("paused", 1, 2, reason="unauthorized"),
        partition_event("progressed", 0, 6),
        partition_event("progressed", 1, 7),
        partition_event("completed", 0, 8, eta=None),
        partition_event("completed", 1, 9, eta=None),
    ]
    shown = hydrant("backfill", "--watch")

    twice = "updated 190 · unchanged 4 · not_found 4 · ambiguous 2; calls 20 spent of about 60 planned, 180 saved"
    begin = "updated 95 · unchanged 2 · not_found 2 · ambiguous 1; calls 10 spent of about 30 planned, 90 saved"
    assert [
        f"12:00:00  Backfill of all locations, request {stage.requests[0].request_id}",
        f"12:00:01  0 of 900 leads (0 %); {begin}; done in 24 s; partitions 0 of 2 done, 1 not reported",
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
        f"  request            {stage.requests[0].request_id}",
    ] == lines(shown)


def test_a_resumed_watch_prints_the_current_progress(stage: Stage) -> None:
    """Past events have no lines of their own."""
    stage.script = [
        None,
        job_event("started", 1, start_data),
        job_event("paused", 2, pause_data),
        job_event("progressed", 10),
        "past",
        job_event("completed", 11),
    ]
    shown = hydrant("sync-all", "L1", "--watch", "--request-id", "R")

    printed = lines(shown)
    assert "12:00:01  reading its past events…" == printed[1]
    assert printed[2].startswith("12:00:10  scan; 100 of 1,800 leads (5 %)")
    assert printed[3].startswith("Sync All of L1 completed after 11 s")


def test_silence_is_printed_once_and_waited_through(stage: Stage) -> None:
    stage.script = [*[None] * 60, *stage.script, *[None] * 40, job_event("completed", 110)]
    shown = hydrant("sync-all", "L1", "--watch")

    assert ["12:00:30  no event for 30 s: no worker seems to run; still waiting"] == [
        line for line in lines(shown) if "no event" in line
    ]


def test_with_json_every_event_is_a_line(stage: Stage) -> None:
    stage.script = [None, *stage.script]
    shown = hydrant("sync-all", "L1", "--watch", "--json", "--request-id", "R")

    events = [step for step in stage.script if isinstance(step, JobEvent)]
    assert [{"type": event.kind, **event.data} for event in events] == [json.loads(line) for line in lines(shown)]


def test_with_json_a_backfill_is_summed_at_the_end(stage: Stage) -> None:
    stage.script = [partition_event("started", 1), partition_event("completed", 0), partition_event("cancelled", 1)]
    shown = hydrant("backfill", "--watch", "--json", "--request-id", "R")

    *each, total = (json.loads(line) for line in lines(shown))
    assert [{"type": step.kind, **step.data} for step in stage.script if isinstance(step, JobEvent)] == each
    assert ("sync.cancelled", "R", None, 2, 200, 20) == tuple(
        total[name] for name in ("type", "request_id", "partition", "partitions", "leads_done", "calls_spent")
    )


def test_with_json_silence_is_no_event(stage: Stage) -> None:
    stage.script = [*[None] * 40, *stage.script]
    shown = hydrant("sync-all", "L1", "--watch", "--json")

    assert 2 == len(lines(shown))
    assert "hydrant: no event for 30 s: no worker seems to run; still waiting\n" == shown.stderr


@pytest.mark.parametrize(
    ("end", "code", "shown"),
    [
        (job_event("completed"), 0, "completed"),
        (job_event("completed", failed=3), 1, "failed         3"),
        (job_event("failed", reason="refused"), 1, "why                refused"),
        (job_event("cancelled"), 1, "not done   1,700"),
        (job_event("completed", leads_done=104), 0, "other          4"),
    ],
)
def test_a_watched_job_exits_by_how_it_ended(stage: Stage, end: JobEvent, code: int, shown: str) -> None:
    stage.script = [end]
    ended = hydrant("sync-all", "L1", "--watch")

    assert code == ended.exit_code
    assert shown in ended.stdout


def test_a_signal_stops_the_watching_and_the_job_goes_on(stage: Stage) -> None:
    """It prints how to come back. It is no success: a script that waits must not take it for one."""
    stage.script = [job_event("progressed"), "signal"]
    ended = hydrant("sync-all", "L1", "--watch", "--request-id", "R")

    assert 1 == ended.exit_code
    assert [
        "hydrant: stopped watching; the job goes on (100 of 1,800 leads (5 %))",
        "hydrant: watch it:  hydrant sync-all L1 --watch --request-id R",
        "hydrant: cancel it: hydrant cancel R L1",
    ] == ended.stderr.splitlines()


def test_a_dry_run_prints_its_plan(stage: Stage) -> None:
    stage.script = [job_event("started", 4, {**start_data, "calls_spent": 1})]
    shown = hydrant("sync-all", "L1", "--dry-run", GHL_REQUESTS_PER_10S="45")

    assert [
        f"12:00:00  Dry run: Sync All of L1, request {stage.requests[0].request_id}",
        "Dry run: Sync All of L1, nothing done",
        "  plan               scan: page through the location's contacts",
        "  leads              1,800",
        "  calls              about 30",
        "  time               about 26 s",
        "  one search a lead  1,800 calls: 7 min at 45 in 10 s",
        "  spent on this      1 call",
    ] == lines(shown)
    assert (0, [True]) == (shown.exit_code, [dict(request)["dry_run"] for request in stage.requests])


def test_a_dry_run_of_all_locations_sums_up(stage: Stage) -> None:
    stage.script = [
        partition_event("started", 0, 1, calls_spent=0),
        partition_event("started", 1, 1, leads_total=0, calls_planned=0),
    ]
    printed = lines(hydrant("backfill", "--dry-run"))

    assert ["  leads              1,800", "  calls              about 30"] == printed[2:4]
    assert "  one search a lead  1,800 calls" in printed


def test_with_json_a_dry_run_is_one_line(stage: Stage) -> None:
    stage.script = [job_event("started", 4, start_data)]
    printed = json.loads(hydrant("sync-all", "L1", "--dry-run", "--json", "--request-id", "R").stdout)

    assert {"type": "sync.started", "request_id": "R", "location_id": "L1", **start_data} == {
        name: value for name, value in printed.items() if value is not None
    }


@pytest.mark.parametrize("arguments", [[], ["--json"]])
def test_a_dry_run_without_a_plan_fails(stage: Stage, arguments: list[str]) -> None:
    stage.script = [job_event("paused", 1, pause_data), job_event("failed", 2, reason="refused")]
    ended = hydrant("sync-all", "L1", "--dry-run", *arguments)

    assert 1 == ended.exit_code
    assert "refused" in ended.output


def test_a_dry_run_that_is_stopped_has_no_plan(stage: Stage) -> None:
    stage.script = ["signal"]
    ended = hydrant("sync-all", "L1", "--dry-run", "--request-id", "R")

    assert (1, "hydrant: stopped before the plan was known (request R)\n") == (ended.exit_code, ended.stderr)


def test_the_id_of_a_dry_run_is_refused_for_a_job(stage: Stage) -> None:
    stage.script = [job_event("cancelled", reason="dry_run"), "past"]
    ended = hydrant("sync-all", "L1", "--watch", "--request-id", "R")

    assert (1, "hydrant: request R was a dry run: take another id\n") == (ended.exit_code, ended.stderr)


@pytest.mark.parametrize(
    ("events", "code", "printed"),
    [
        ([job_event("cancelled")], 0, "cancelled: 100 of 1,800 leads (5 %) done"),
        ([job_event("completed")], 1, "hydrant: ended already: completed, 100 of 1,800 leads (5 %) done"),
        (
            [job_event("progressed")],
            1,
            "hydrant: requested, but it hasn't ended yet: does its worker run? The next worker will cancel it",
        ),
        ([], 1, "hydrant: no event of this job: it is unknown, or ended long ago"),
    ],
)
def test_a_cancel_prints_its_result(
    monkeypatch: pytest.MonkeyPatch, events: list[JobEvent], code: int, printed: str
) -> None:
    cancelling(monkeypatch, *events)
    ended = hydrant("cancel", "R", "L1")

    assert (code, f"{printed}\n") == (ended.exit_code, ended.output)


def test_a_cancel_without_a_location_is_taken_for_a_backfill(monkeypatch: pytest.MonkeyPatch) -> None:
    cancelling(monkeypatch)

    assert [
        "hydrant: no event of this job: it is unknown, or ended long ago",
        "hydrant: it was taken for a backfill: a Sync All is cancelled by request and LOCATION",
    ] == hydrant("cancel", "R").stderr.splitlines()


def test_a_cancelled_backfill_prints_how_many_partitions_have_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    cancelling(monkeypatch, partition_event("cancelled", 0), partition_event("progressed", 1))

    assert hydrant("cancel", "R").stderr.endswith("will cancel it; partitions: 1 of 2 done\n")


@pytest.mark.parametrize(("end", "code"), [("cancelled", 0), ("completed", 1)])
def test_with_json_a_cancel_prints_the_end(monkeypatch: pytest.MonkeyPatch, end: str, code: int) -> None:
    cancelling(monkeypatch, job_event(end))
    ended = hydrant("cancel", "R", "L1", "--json")

    printed = json.loads(ended.stdout)
    assert (code, f"sync.{end}", 100) == (ended.exit_code, printed["type"], printed["leads_done"])


def test_a_cancel_need_not_wait(stage: Stage) -> None:
    assert "requested to cancel: R\n" == hydrant("cancel", "R", "--no-wait").stdout
    assert {"request_id": "R"} == json.loads(hydrant("cancel", "R", "L1", "--no-wait", "--json").stdout)
    assert [
        SyncCancelRequested(request_id="R"),
        SyncCancelRequested(request_id="R", location_id="L1"),
    ] == stage.requests


def cancelling(monkeypatch: pytest.MonkeyPatch, *events: JobEvent) -> None:
    """Make the cancel find these events of the job."""

    async def cancel_and_wait(settings: Settings, request: SyncCancelRequested, within_s: float) -> JobProgress:
        progress = JobProgress(request.request_id, request.location_id)
        for event in events:
            progress.apply(event)
        return progress

    monkeypatch.setattr(job_watch, "cancel_and_wait", cancel_and_wait)
