"""The door: what each command passes on, shows and exits with. What it does is tested where it is done."""

import inspect
import json
import os
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner, Result

from processor import __version__, cli, commands
from processor.cli.shown import span
from processor.commands import SyncAnswer, SyncRequest
from processor.engine.health import PortTaken
from processor.kafka import Refused, Unreachable
from processor.sandbox.__main__ import sandbox_options
from processor.settings import Settings, WrongSetting

secret = "pit-0c9e4a52-canary"
answered: Mapping[str, object] = {
    "request_id": "r1",
    "location_id": "L1",
    "lead_id": "x",
    "outcome": "updated",
    "filled": ["contact_id", "first_name"],
    "messages_imported": 0,
    "reason": None,
}
standing: Mapping[str, object] = {
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
    return CliRunner().invoke(cli.app, arguments, env=environ, prog_name="hydrant")


def fails(error: BaseException) -> Callable[..., Awaitable[None]]:
    async def command(*_: object) -> None:
        raise error

    return command


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    """No settings but a test's own, and a wide terminal for the tables."""
    for name in [name for name in os.environ if name.startswith(("KAFKA_", "GHL_", "HYDRANT_", "SYNC_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("COLUMNS", "200")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[SyncRequest]:
    """The requests that `hydrant sync` made, each answered."""
    requests: list[SyncRequest] = []

    async def sync(settings: Settings, request: SyncRequest, within_s: float) -> SyncAnswer:
        requests.append(request)
        return SyncAnswer(answered, 420)

    async def publish_sync(settings: Settings, request: SyncRequest) -> None:
        requests.append(request)

    monkeypatch.setattr(commands, "sync", sync)
    monkeypatch.setattr(commands, "publish_sync", publish_sync)
    return requests


def test_version() -> None:
    assert (0, f"hydrant {__version__}\n") == (hydrant("--version").exit_code, hydrant("--version").stdout)


@pytest.mark.parametrize(
    "command",
    ["run", "topics create", "sync", "sync-all", "backfill", "cancel", "status", "sandbox"],
    ids=lambda command: str(command),
)
def test_help_teaches(command: str) -> None:
    """Every command shows an example, the settings it reads, and how it exits."""
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
    program = "import sys; from processor.cli import app; print(*sys.modules); app(['--help'], prog_name='hydrant')"
    since = time.monotonic()
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert time.monotonic() - since < 3
    assert {"pydantic", "aiokafka", "starlette", "uvicorn", "structlog", "httpx", "processor.commands.jobs"}.isdisjoint(
        shown.stdout.split()
    )


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
def test_wrong_settings_are_told_a_line_each(command: list[str]) -> None:
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
        (Unreachable("no answer from kafka:9092"), 1, "Kafka can't be reached: no answer from kafka:9092"),
        (Refused("there is no topic"), 1, "Kafka refused: there is no topic"),
        (ExceptionGroup("tasks", [ExceptionGroup("task", [PortTaken("taken")])]), 2, "taken"),
        (ValueError(secret), 1, "a fault of Hydrant's own: ValueError at "),
    ],
)
def test_what_goes_wrong_is_a_line_and_a_code(
    monkeypatch: pytest.MonkeyPatch, error: Exception, code: int, line: str
) -> None:
    monkeypatch.setattr(commands, "status", fails(error))
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

    monkeypatch.setattr(commands, "make_topics", make_topics)
    made = hydrant("topics", "create", "--replication-factor", "3", KAFKA_TOPIC_PREFIX="staging.")

    assert (0, "created  staging.lead.changes\nexists   staging.sync.requests\n") == (made.exit_code, made.stdout)
    assert [(12, 3)] == given


def test_topics_create_leaves_replication_to_the_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[tuple[int, int | None]] = []

    async def make_topics(settings: Settings, partitions: int, replication: int | None) -> Mapping[str, str]:
        given.append((partitions, replication))
        return {}

    monkeypatch.setattr(commands, "make_topics", make_topics)
    hydrant("topics", "create", "--partitions", "6")

    assert [(6, None)] == given


def test_sync_shows_the_answer(asked: list[SyncRequest]) -> None:
    shown = hydrant("sync", "L1", "x")

    assert 0 == shown.exit_code
    for part in ("x in L1", "updated", "contact_id, first_name", "after 0.42 s"):
        assert part in shown.stdout


def test_sync_asks_as_told(asked: list[SyncRequest]) -> None:
    hydrant("sync", "L1", "x", "--no-messages", "--deadline", "7", "--lane", "change")
    hydrant("sync", "L1", "x")

    assert [
        ("L1", "x", False, 7, "change"),
        ("L1", "x", True, 120, "interactive"),
    ] == [(one.location_id, one.lead_id, one.include_messages, one.deadline_s, one.lane) for one in asked]
    assert 2 == len({one.request_id for one in asked})


def test_sync_for_a_program(asked: list[SyncRequest]) -> None:
    shown = hydrant("sync", "L1", "x", "--json")

    assert (0, answered) == (shown.exit_code, json.loads(shown.stdout))


def test_sync_need_not_wait(asked: list[SyncRequest]) -> None:
    shown = hydrant("sync", "L1", "x", "--no-wait", "--json")

    assert (0, {"request_id": asked[0].request_id}) == (shown.exit_code, json.loads(shown.stdout))


@pytest.mark.parametrize(
    ("outcome", "code"),
    [("updated", 0), ("unchanged", 0), ("created", 0), ("not_found", 1), ("ambiguous", 1), ("failed", 1), ("new", 1)],
)
def test_sync_exits_by_the_outcome(monkeypatch: pytest.MonkeyPatch, outcome: str, code: int) -> None:
    async def sync(*_: object) -> SyncAnswer:
        return SyncAnswer({**answered, "outcome": outcome, "reason": "unknown_lead"}, 10)

    monkeypatch.setattr(commands, "sync", sync)
    shown = hydrant("sync", "L1", "x")

    assert code == shown.exit_code
    assert "unknown_lead" in shown.stdout


def test_sync_without_an_answer_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """It waits a little longer than the deadline: the answer travels."""
    waits: list[float] = []

    async def sync(settings: Settings, request: SyncRequest, within_s: float) -> None:
        waits.append(within_s)

    monkeypatch.setattr(commands, "sync", sync)
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
def test_a_wrong_command_is_refused(asked: list[SyncRequest], arguments: list[str]) -> None:
    ended = hydrant(*arguments)

    assert (2, []) == (ended.exit_code, asked)


def test_status_shows_a_table(monkeypatch: pytest.MonkeyPatch) -> None:
    async def status(settings: Settings, location: str | None) -> list[Mapping[str, object]]:
        return [standing]

    monkeypatch.setattr(commands, "status", status)
    monkeypatch.setattr("time.time", lambda: 1_769_848_202.0)  # 2026-01-31T08:30:02Z
    shown = hydrant("status", GHL_REQUESTS_PER_10S="90")

    assert [
        "                     since,",
        "location   state     until   queued        oldest  in 10 s in 24 h worker",
        "L1         throttled 2 s ago interactive 1   12 s 88 of 90    1234 worker-1",
        "                     in 5 s  change 200",
    ] == [line.rstrip() for line in shown.stdout.splitlines()]
    assert 0 == shown.exit_code


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(0, "0 s"), (119, "119 s"), (120, "2 min"), (7_199, "120 min"), (7_200, "2 h"), (200_000, "2 d")],
)
def test_spans_are_for_people(seconds: float, expected: str) -> None:
    assert expected == span(seconds)


def test_status_for_a_program(monkeypatch: pytest.MonkeyPatch) -> None:
    async def status(settings: Settings, location: str | None) -> list[Mapping[str, object]]:
        return [standing]

    monkeypatch.setattr(commands, "status", status)
    shown = hydrant("status", "L1", "--json")

    assert (0, [standing]) == (shown.exit_code, json.loads(shown.stdout))


@pytest.mark.parametrize(
    ("arguments", "code", "stdout"),
    [
        (["status"], 0, "no location was reported on yet\n"),
        (["status", "--json"], 0, "[]\n"),
        (["status", "L1"], 1, ""),
        (["status", "L1", "--json"], 1, "[]\n"),
    ],
)
def test_status_of_nothing(monkeypatch: pytest.MonkeyPatch, arguments: list[str], code: int, stdout: str) -> None:
    async def status(settings: Settings, location: str | None) -> list[Mapping[str, object]]:
        return []

    monkeypatch.setattr(commands, "status", status)
    ended = hydrant(*arguments)

    assert (code, stdout) == (ended.exit_code, ended.stdout)


def test_the_sandbox_takes_what_its_own_command_line_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The options are mirrored; none is missing, and the defaults are the same."""
    given: list[list[str]] = []
    monkeypatch.setattr("processor.sandbox.__main__.run_sandbox", given.append)

    assert 0 == hydrant("sandbox").exit_code
    assert 0 == hydrant("sandbox", "--location", "L1", "--location", "L2", "--no-raw-names", "--token=L1=-t").exit_code

    here, there = sandbox_options().parse_args(given[0]), sandbox_options().parse_args([])
    assert vars(there) == vars(here)
    assert ["L1", "L2"] == sandbox_options().parse_args(given[1]).location
    assert ["L1=-t"] == sandbox_options().parse_args(given[1]).token
    assert not sandbox_options().parse_args(given[1]).raw_names
    mirrored = {name for name in inspect.signature(cli.sandbox).parameters if name != "context"}
    assert set(vars(there)) == mirrored
