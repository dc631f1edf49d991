"""The commands: what each passes on, prints and exits with. Operations have tests of their own."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner, Result

from processor import __version__, cli
from processor.cli import operations
from processor.cli.operations import SyncAnswer
from processor.cli.text import duration
from processor.engine.health import PortTaken
from processor.events.contract import SyncLeadRequested
from processor.kafka import KafkaRefused, KafkaUnreachable
from processor.settings import Settings, WrongSetting

secret = "pit-0c9e4a52-canary"
answer_data: dict[str, object] = {
    "request_id": "r1",
    "location_id": "L1",
    "lead_id": "x",
    "outcome": "updated",
    "filled": ["contact_id", "first_name"],
    "messages_imported": 0,
    "reason": None,
}
status_data: Mapping[str, object] = {
    "location_id": "L1",
    "state": "throttled",
    "since": "2026-01-31T08:30:00.000Z",
    "until": "2026-01-31T08:30:07.000Z",
    "reason": None,
    "queued": {"interactive": 1, "change": 200},
    "oldest_pending_s": 12,
    "sent_10s": 88,
    "sent_today": 1234,
    "left_today": 198_766,
    "worker": "worker-1",
}


def hydrant(*arguments: str, **environ: str) -> Result:
    return CliRunner().invoke(cli.command_line, arguments, env=environ, prog_name="hydrant")


def fails(error: BaseException) -> Callable[..., Awaitable[None]]:
    async def command(*_: object) -> None:
        raise error

    return command


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove all settings, and widen the terminal for help texts."""
    for name in [name for name in os.environ if name.startswith(("KAFKA_", "GHL_", "HYDRANT_", "SYNC_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("COLUMNS", "200")


@pytest.fixture
def requests(monkeypatch: pytest.MonkeyPatch) -> list[SyncLeadRequested]:
    """Return the requests of `hydrant sync`, each of which is answered."""
    published: list[SyncLeadRequested] = []

    async def sync_lead(settings: Settings, request: SyncLeadRequested, within_s: float) -> SyncAnswer:
        published.append(request)
        return SyncAnswer(answer_data, 420)

    async def publish_request(settings: Settings, request: SyncLeadRequested) -> None:
        published.append(request)

    monkeypatch.setattr(operations, "sync_lead", sync_lead)
    monkeypatch.setattr(operations, "publish_request", publish_request)
    return published


def test_version() -> None:
    assert (0, f"hydrant {__version__}\n") == (hydrant("--version").exit_code, hydrant("--version").stdout)


@pytest.mark.parametrize(
    "command",
    ["run", "topics create", "sync", "sync-all", "backfill", "cancel", "status", "sandbox"],
    ids=lambda command: str(command),
)
def test_help_shows_examples_settings_and_exit_codes(command: str) -> None:
    shown = hydrant(*command.split(), "--help")

    assert 0 == shown.exit_code
    for heading in ("Example", "Reads", "Exits", f"hydrant {command}"):
        assert heading in shown.stdout


def test_no_command_is_help() -> None:
    shown = hydrant()

    assert 2 == shown.exit_code
    assert "Usage: hydrant" in shown.output


def test_help_is_instant() -> None:
    """It imports nothing heavy; the bound is loose, for busy machines."""
    program = "import sys; from processor.cli import command_line; print(*sys.modules); command_line(['--help'])"
    since = time.monotonic()
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert time.monotonic() - since < 3
    assert {
        "pydantic",
        "aiokafka",
        "starlette",
        "uvicorn",
        "structlog",
        "httpx",
        "processor.cli.operations",
    }.isdisjoint(shown.stdout.split())


@pytest.mark.parametrize("code", [0, 1])
def test_run_ends_as_the_worker_does(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    given: list[Settings] = []

    def run_worker(settings: Settings) -> int:
        given.append(settings)
        return code

    monkeypatch.setitem(sys.modules, "processor.app", SimpleNamespace(run_worker=run_worker))

    assert code == hydrant("run", GHL_TOKEN=secret, GHL_REQUESTS_PER_10S="22").exit_code
    assert [22] == [settings.ghl_requests_per_10s for settings in given]


def test_run_needs_a_token() -> None:
    ended = hydrant("run")

    assert (2, "hydrant: GHL_TOKEN: a worker needs it, or GHL_TOKENS_FILE\n") == (ended.exit_code, ended.stderr)


@pytest.mark.parametrize(
    "command",
    [["run"], ["topics", "create"], ["sync", "L1", "x"], ["sync-all", "L1"], ["backfill"], ["cancel", "R"], ["status"]],
    ids=lambda command: command[0],
)
def test_wrong_settings_are_printed_one_a_line(command: list[str]) -> None:
    """Never with a value, nor a traceback."""
    ended = hydrant(*command, GHL_TOKEN=f"{secret} ", HYDRANT_PROBE_SIZE=secret, HYDRANT_RULES_FILE="rules.toml")

    assert 2 == ended.exit_code
    assert ["GHL_TOKEN", "HYDRANT_PROBE_SIZE", "HYDRANT_RULES_FILE"] == [
        line.split(": ")[1] for line in ended.stderr.splitlines()
    ]
    assert secret not in ended.output


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (WrongSetting(["KAFKA_TOPIC_PREFIX: lead.changes: missing"]), 2, "KAFKA_TOPIC_PREFIX: lead.changes: missing"),
        (PortTaken("HYDRANT_HTTP_PORT: taken"), 2, "HYDRANT_HTTP_PORT: taken"),
        (KafkaUnreachable("no response from kafka:9092"), 1, "Kafka can't be reached: no response from kafka:9092"),
        (KafkaRefused("there is no topic"), 1, "Kafka refused: there is no topic"),
        (ExceptionGroup("tasks", [ExceptionGroup("task", [PortTaken("taken")])]), 2, "taken"),
        (ValueError(secret), 1, "internal error: ValueError at "),
    ],
)
def test_an_error_is_a_line_and_an_exit_code(
    monkeypatch: pytest.MonkeyPatch, error: Exception, code: int, line: str
) -> None:
    monkeypatch.setattr(operations, "read_statuses", fails(error))
    ended = hydrant("status")

    assert code == ended.exit_code
    assert ended.stderr.startswith(f"hydrant: {line}")
    assert secret not in ended.output
    assert "Traceback" not in ended.output


def test_topics_create(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[tuple[int, int | None]] = []

    async def make_topics(settings: Settings, partitions: int, replication: int | None) -> Mapping[str, str]:
        given.append((partitions, replication))
        return {"lead.changes": "created", "sync.requests": "exists"}

    monkeypatch.setattr(operations, "make_topics", make_topics)
    made = hydrant("topics", "create", "--replication-factor", "3", KAFKA_TOPIC_PREFIX="staging.")

    assert (0, "created  staging.lead.changes\nexists   staging.sync.requests\n") == (made.exit_code, made.stdout)
    assert [(12, 3)] == given


def test_topics_create_leaves_replication_to_the_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[tuple[int, int | None]] = []

    async def make_topics(settings: Settings, partitions: int, replication: int | None) -> Mapping[str, str]:
        given.append((partitions, replication))
        return {}

    monkeypatch.setattr(operations, "make_topics", make_topics)
    hydrant("topics", "create", "--partitions", "6")

    assert [(6, None)] == given


def test_sync_prints_the_answer(requests: list[SyncLeadRequested]) -> None:
    shown = hydrant("sync", "L1", "x")

    assert 0 == shown.exit_code
    for part in ("x in L1", "updated", "contact_id, first_name", "after 0.42 s"):
        assert part in shown.stdout


def test_sync_passes_its_options_on(requests: list[SyncLeadRequested]) -> None:
    hydrant("sync", "L1", "x", "--no-messages", "--deadline", "7", "--lane", "change")
    hydrant("sync", "L1", "x")

    assert [
        ("L1", "x", False, 7, "change"),
        ("L1", "x", True, 120, "interactive"),
    ] == [(sync.location_id, sync.lead_id, sync.include_messages, sync.deadline_s, sync.lane) for sync in requests]
    assert 2 == len({sync.request_id for sync in requests})


def test_sync_prints_json(requests: list[SyncLeadRequested]) -> None:
    shown = hydrant("sync", "L1", "x", "--json")

    assert (0, answer_data) == (shown.exit_code, json.loads(shown.stdout))


def test_sync_need_not_wait(requests: list[SyncLeadRequested]) -> None:
    shown = hydrant("sync", "L1", "x", "--no-wait", "--json")

    assert (0, {"request_id": requests[0].request_id}) == (shown.exit_code, json.loads(shown.stdout))


@pytest.mark.parametrize(
    ("outcome", "code"),
    [("updated", 0), ("unchanged", 0), ("created", 0), ("not_found", 1), ("ambiguous", 1), ("failed", 1), ("new", 1)],
)
def test_sync_exits_by_the_outcome(monkeypatch: pytest.MonkeyPatch, outcome: str, code: int) -> None:
    async def sync_lead(*_: object) -> SyncAnswer:
        return SyncAnswer({**answer_data, "outcome": outcome, "reason": "unknown_lead"}, 10)

    monkeypatch.setattr(operations, "sync_lead", sync_lead)
    shown = hydrant("sync", "L1", "x")

    assert code == shown.exit_code
    assert "unknown_lead" in shown.stdout


def test_sync_without_an_answer_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """It waits a little longer than the deadline, because the answer travels."""
    waits: list[float] = []

    async def sync_lead(settings: Settings, request: SyncLeadRequested, within_s: float) -> None:
        waits.append(within_s)

    monkeypatch.setattr(operations, "sync_lead", sync_lead)
    ended = hydrant("sync", "L1", "x", "--deadline", "30")

    assert (1, [35]) == (ended.exit_code, waits)
    assert ended.stderr.startswith("hydrant: no answer within 35 s: is a worker running?")


@pytest.mark.parametrize(
    "arguments",
    [
        ["sync", "L 1", "x"],
        ["sync", "L1", ""],
        ["sync", "L1", "x" * 129],
        ["sync", "L1", "é"],
        ["sync", "L1", "x\n"],
        ["sync", "L1"],
        ["sync", "L1", "x", "--deadline", "0"],
        ["sync", "L1", "x", "--deadline", "3601"],
        ["sync", "L1", "x", "--lane", "job"],
        ["sync-all", "L 1"],
        ["sync-all"],
        ["sync-all", "L1", "--request-id", "R 1"],
        ["backfill", "L1"],
        ["backfill", "--request-id", "x" * 129],
        ["cancel"],
        ["cancel", "R 1"],
        ["cancel", "R1", "L 1"],
        ["status", "L 1"],
        ["topics", "create", "--partitions", "0"],
        ["sandbox", "--limit", "many"],
        ["synch", "L1", "x"],
    ],
)
def test_a_wrong_command_is_refused(requests: list[SyncLeadRequested], arguments: list[str]) -> None:
    ended = hydrant(*arguments)

    assert (2, []) == (ended.exit_code, requests)


def test_status_prints_a_table(monkeypatch: pytest.MonkeyPatch) -> None:
    async def read_statuses(settings: Settings, location: str | None) -> list[Mapping[str, object]]:
        return [status_data]

    monkeypatch.setattr(operations, "read_statuses", read_statuses)
    monkeypatch.setattr("time.time", lambda: 1_769_848_202.0)  # 2026-01-31T08:30:02Z
    shown = hydrant("status", GHL_REQUESTS_PER_10S="90")

    assert [
        "location  state      since, until     queued                     oldest  in 10 s   in 24 h  worker",
        "L1        throttled  2 s ago, in 5 s  interactive 1, change 200  12 s    88 of 90  1234     worker-1",
    ] == [line.rstrip() for line in shown.stdout.splitlines()]
    assert 0 == shown.exit_code


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(0, "0 s"), (119, "119 s"), (120, "2 min"), (7_199, "120 min"), (7_200, "2 h"), (200_000, "2 d")],
)
def test_durations_are_rounded_for_people(seconds: float, expected: str) -> None:
    assert expected == duration(seconds)


def test_status_prints_json(monkeypatch: pytest.MonkeyPatch) -> None:
    async def read_statuses(settings: Settings, location: str | None) -> list[Mapping[str, object]]:
        return [status_data]

    monkeypatch.setattr(operations, "read_statuses", read_statuses)
    shown = hydrant("status", "L1", "--json")

    assert (0, [status_data]) == (shown.exit_code, json.loads(shown.stdout))


@pytest.mark.parametrize(
    ("arguments", "code", "stdout"),
    [
        (["status"], 0, "no worker has reported on any location yet\n"),
        (["status", "--json"], 0, "[]\n"),
        (["status", "L1"], 1, ""),
        (["status", "L1", "--json"], 1, "[]\n"),
    ],
)
def test_status_without_reports(monkeypatch: pytest.MonkeyPatch, arguments: list[str], code: int, stdout: str) -> None:
    async def read_statuses(settings: Settings, location: str | None) -> list[Mapping[str, object]]:
        return []

    monkeypatch.setattr(operations, "read_statuses", read_statuses)
    ended = hydrant(*arguments)

    assert (code, stdout) == (ended.exit_code, ended.stdout)


def test_the_sandbox_gets_its_arguments_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Sequence[str]] = []
    monkeypatch.setattr("processor.sandbox.__main__.run_sandbox", given.append)
    arguments = ["--location", "L1", "--location", "L2", "--no-raw-names", "--token=L1=-t", "--port", "9000"]

    assert 0 == hydrant("sandbox").exit_code
    assert 0 == hydrant("sandbox", *arguments).exit_code
    assert [[], arguments] == given
