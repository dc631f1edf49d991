"""Logs and metrics show what the catalogue declares, and never a customer's data."""

import io
import json
import logging
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import fields
from types import NoneType
from typing import Any, get_args

import pytest

from processor.telemetry.catalogue import (
    CATALOGUE,
    EventDeadLettered,
    EventForwarded,
    EventsIngested,
    PartitionFenced,
    PartitionOpened,
    PartitionOpening,
    PartitionsOwned,
    ResponseIngested,
    ResultPublished,
    StatusChanged,
    TelemetryEvent,
    TurnCommitted,
    TurnFailed,
)
from processor.telemetry.logs import guard_of, scrubbed, whereabouts
from processor.telemetry.metrics import METRICS
from processor.telemetry.recorder import Telemetry

email = "zoe.canary@example.com"
phone = "+1 (555) 010-9999"
name = "Zoe Canary"
message = "Please call me back, it is urgent"
token = "pit-0c9e4a52-77aa-4c13-9f0e-aabbccddeeff"
canaries = (
    email,
    phone,
    "+15550109999",
    name,
    message,
    token,
    f"Bearer {token}",
    "Zoë",
    "eyJhbGciOi.eyJzdWIi.c2lnbmF0",
)
scrubbable = (email, phone, "+15550109999", token, f"Bearer {token}", "eyJhbGciOi.eyJzdWIi.c2lnbmF0", "555-010-9999")


@pytest.fixture
def stream() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def telemetry(stream: io.StringIO) -> Telemetry:
    return Telemetry("json", "debug", stream)


@pytest.fixture
def captured(telemetry: Telemetry) -> Iterator[Telemetry]:
    """Capture process-wide, and undo that afterwards."""
    root = logging.getLogger()
    before = root.handlers[:], root.level, sys.excepthook, sys.unraisablehook, threading.excepthook
    root.handlers[:] = []
    telemetry.capture()
    yield telemetry
    root.handlers[:], level, sys.excepthook, sys.unraisablehook, threading.excepthook = before
    root.setLevel(level)
    logging.captureWarnings(False)


def lines(stream: io.StringIO) -> list[dict[str, object]]:
    logged = [json.loads(line) for line in stream.getvalue().splitlines()]
    return [{key: value for key, value in line.items() if key != "time"} for line in logged]


def names(event: type[TelemetryEvent]) -> list[str]:
    return [field.name for field in fields(event)]


def samples(telemetry: Telemetry) -> dict[str, float]:
    """Return what /metrics shows, without buckets."""
    shown = (line.rsplit(" ", 1) for line in telemetry.exposition().decode().splitlines() if not line.startswith("#"))
    return {series: float(value) for series, value in shown if "_bucket" not in series and float(value)}


def failed_with(*chain: str) -> BaseException:
    """Return an exception with these texts, each the cause of the next."""
    error: BaseException | None = None
    for text in chain:
        try:
            raise ValueError(text, {"text": text}) from error
        except ValueError as raised:
            error = raised
    assert error is not None
    return error


def test_an_event_becomes_a_line(telemetry: Telemetry, stream: io.StringIO) -> None:
    telemetry.record(PartitionOpened(3, "restored", rows=12, ms=40))

    expected = {"event": "partition opened", "level": "info", "note": "opened"}
    assert [expected | {"partition": 3, "rows": 12, "ms": 40, "state": "restored"}] == lines(stream)


def test_an_event_becomes_metrics(telemetry: Telemetry) -> None:
    """Milliseconds become seconds; a mapping counts by its keys; an event counts itself."""
    telemetry.record(
        [
            EventsIngested({"lead.changed": 3, "sync.lead.requested": 1}, lag_ms=250),
            EventsIngested({"lead.changed": 2}),
            ResultPublished("L1", "x", outcome="updated", lane="change", total_ms=1500),
            TurnCommitted(partition=0, inputs=5, records=2, rows=7, calls=1, turn_ms=3, commit_ms=16),
            PartitionsOwned([0, 1, 2], 3),
        ]
    )

    assert {
        'hydrant_events_total{type="lead.changed"}': 5,
        'hydrant_events_total{type="sync.lead.requested"}': 1,
        "hydrant_consumer_lag_seconds_count": 1,
        "hydrant_consumer_lag_seconds_sum": 0.25,
        'hydrant_results_total{lane="change",outcome="updated"}': 1,
        'hydrant_result_seconds_count{lane="change"}': 1,
        'hydrant_result_seconds_sum{lane="change"}': 1.5,
        "hydrant_turn_seconds_count": 1,
        "hydrant_turn_seconds_sum": 0.003,
        "hydrant_commit_seconds_count": 1,
        "hydrant_commit_seconds_sum": 0.016,
        "hydrant_inputs_total": 5,
        "hydrant_records_total": 2,
        "hydrant_changelog_rows_total": 7,
        "hydrant_owned_partitions": 3,
    } == samples(telemetry)


def test_the_first_partition_is_one_too(telemetry: Telemetry, stream: io.StringIO) -> None:
    telemetry.record(PartitionsOwned([0, 2], 2))

    assert ["0,2"] == [line["partitions"] for line in lines(stream)]


def test_owned_partitions_are_counted(telemetry: Telemetry) -> None:
    telemetry.record(PartitionsOwned([0, 1, 2, 3], 4))

    assert {"hydrant_owned_partitions": 4} == samples(telemetry)


@pytest.mark.parametrize(
    ("event", "level"),
    [
        (ResponseIngested("L1", "search", outcome="found"), "debug"),
        (ResponseIngested("L1", "search", outcome="gone"), "debug"),
        (ResponseIngested("L1", "search", outcome="lost"), "warning"),
        (StatusChanged("L1", state="ok"), "info"),
        (StatusChanged("L1", state="throttled"), "warning"),
        (TurnFailed(1, "ValueError at shard/turn.py:1"), "error"),
    ],
)
def test_an_unexpected_value_is_a_warning(
    telemetry: Telemetry, stream: io.StringIO, event: TelemetryEvent, level: str
) -> None:
    telemetry.record(event)

    assert [level] == [line["level"] for line in lines(stream)]


def test_below_the_level_nothing_is_logged_but_all_is_counted(stream: io.StringIO) -> None:
    telemetry = Telemetry("json", "warning", stream)
    telemetry.record(EventForwarded("lead.changes", partition=1, offset=2, home=3))

    assert ("", {"hydrant_rehomed_total": 1}) == (stream.getvalue(), samples(telemetry))


@pytest.mark.parametrize("catalogued", CATALOGUE)
def test_an_event_has_no_undeclared_field(catalogued: Any) -> None:
    event = catalogued(**dict.fromkeys(names(catalogued), 1))

    with pytest.raises(TypeError, match="email"):
        catalogued(**dict.fromkeys((*names(catalogued), "email"), 1))
    with pytest.raises((AttributeError, TypeError)):  # frozen, and without a place for it
        event.email = email
    assert not hasattr(event, "__dict__")


def test_a_value_that_is_missing_is_not_logged(telemetry: Telemetry, stream: io.StringIO) -> None:
    telemetry.record(EventDeadLettered("misrouted", topic="lead.changes"))

    expected = {"event": "event dead-lettered", "level": "warning", "note": "buried", "reason": "misrouted"}
    assert [expected | {"topic": "lead.changes"}] == lines(stream)


def test_the_console_is_for_people(stream: io.StringIO) -> None:
    Telemetry("console", "info", stream).record(PartitionOpening(7))

    assert "partition opening" in stream.getvalue()
    assert "partition=7" in stream.getvalue()


def test_a_broken_stream_does_not_stop_the_work(telemetry: Telemetry, stream: io.StringIO) -> None:
    stream.close()
    telemetry.record(PartitionFenced(1))

    assert {"hydrant_fenced_total": 1} == samples(telemetry)


def test_the_catalogue_fits_the_metrics() -> None:
    """Each metric is fed by what an event has; none has a location label."""
    assert set(METRICS) == {metric for event in CATALOGUE for metric in event.feeds}
    for event in CATALOGUE:
        for metric, field in event.feeds.items():
            assert field is None or field in names(event)
            assert {"location", "lead"}.isdisjoint(METRICS[metric].labels)
            assert set(METRICS[metric].labels) <= {*names(event), "type"}


def test_a_name_means_the_same_everywhere() -> None:
    """No two events have one name, and a field has the same shape in every event."""
    shapes: dict[str, object] = {}

    assert len(CATALOGUE) == len({event.name for event in CATALOGUE})
    for event in CATALOGUE:
        assert event.log.expected_values is None or event.log.expected_values[0] in names(event)
        for field in fields(event):
            parts = get_args(field.type)
            shape = parts[0] if NoneType in parts else field.type
            assert shapes.setdefault(field.name, shape) == shape


def test_a_field_of_any_other_type_is_refused() -> None:
    with pytest.raises(TypeError):
        guard_of(str)


def test_label_values_are_bounded(telemetry: Telemetry) -> None:
    """A mistake upstream, a label for each lead, say, must not fill the memory."""
    for n in range(1000):
        telemetry.record(EventDeadLettered(f"reason_{n}"))

    shown = samples(telemetry)
    assert 101 == len(shown)
    assert 900 == shown['hydrant_dead_letters_total{reason="other"}']


@pytest.mark.parametrize("canary", canaries)
@pytest.mark.parametrize("catalogued", CATALOGUE)
def test_no_event_shows_personal_data(catalogued: Any, canary: str) -> None:
    """A field may hold anything, also where it should hold a number or a list of numbers."""
    wording = set() if canary in scrubbable else {"detail", "why"}  # our own words, for which their writer vouches
    for value in (canary, [canary], {canary: 1}, {canary: canary}, failed_with(canary)):
        stream = io.StringIO()
        telemetry = Telemetry("json", "debug", stream)
        telemetry.record(catalogued(**{field: None if field in wording else value for field in names(catalogued)}))

        shown = stream.getvalue() + telemetry.exposition().decode()
        assert f'"note": "{catalogued.name}"' in shown
        assert canary not in shown
        assert json.dumps(canary)[1:-1] not in shown


@pytest.mark.parametrize("canary", scrubbable)
def test_text_is_scrubbed(canary: str) -> None:
    assert "email: invalid: … (lead.changed)" == scrubbed(f"email: invalid: {canary} (lead.changed)")


@pytest.mark.parametrize(
    "harmless", ["10.0.0.12:9092 is gone", "position 1234567 of 1234600", "lead.changed: revision: missing"]
)
def test_harmless_text_stays(harmless: str) -> None:
    assert harmless == scrubbed(harmless)


def test_long_text_is_cut_and_costs_little() -> None:
    assert "x" * 300 == scrubbed("x" * 10_000_000)


def test_an_exception_is_its_class_and_place() -> None:
    assert "ValueError at unit/test_telemetry.py:" in whereabouts(failed_with(email))
    assert 3 == len(whereabouts(failed_with(email, phone, name)).split(" < "))


def test_the_place_of_an_exception_is_a_field(telemetry: Telemetry, stream: io.StringIO) -> None:
    error = whereabouts(failed_with(message, token))
    telemetry.record(TurnFailed(1, error))

    assert [error] == [line["error"] for line in lines(stream)]


@pytest.mark.parametrize("canary", canaries)
def test_no_library_logs_personal_data(captured: Telemetry, stream: io.StringIO, canary: str) -> None:
    error = failed_with(name, canary)
    log = logging.getLogger("a.library")
    log.warning("sent %s to %s: %s", canary, {canary: canary}, error)
    log.warning("sent %(what)s", {"what": canary})
    log.warning(error)
    log.warning(f"can't decode '{canary}'")
    log.error(f"Task exception was never retrieved\nfuture: <Task exception=ValueError({canary})>")
    log.error("failed", exc_info=error, stack_info=True, extra={"url": canary})
    log.error("failed", exc_info=ExceptionGroup(canary, [ValueError(canary)]))

    assert 7 == len(lines(stream))
    assert canary not in stream.getvalue()
    assert json.dumps(canary)[1:-1] not in stream.getvalue()


def test_a_cut_argument_may_not_fit_its_format(captured: Telemetry, stream: io.StringIO) -> None:
    """The bare format is logged then."""
    record = logging.LogRecord("aiokafka", logging.WARNING, __file__, 1, "%d of %s", (name, email), None)
    ours = [handler for handler in logging.getLogger().handlers if "telemetry" in type(handler).__module__]
    ours[0].handle(record)

    assert [{"event": "%d of %s", "level": "warning", "logger": "aiokafka"}] == lines(stream)


def test_no_uncaught_exception_shows_personal_data(captured: Telemetry, stream: io.StringIO) -> None:
    def fail() -> None:
        raise failed_with(name, message)

    thread = threading.Thread(target=fail)
    thread.start()
    thread.join()
    error = failed_with(email)
    sys.excepthook(type(error), error, error.__traceback__)

    assert ["uncaught exception"] * 2 == [line["event"] for line in lines(stream)]
    assert name not in stream.getvalue()
    assert email not in stream.getvalue()


def test_libraries_are_logged_from_warnings_on(captured: Telemetry, stream: io.StringIO) -> None:
    logging.getLogger("httpx").info("GET https://example.com")
    logging.getLogger("a.library").warning("Unable to connect to %s:%d", "10.0.0.12", 9092)

    expected = {"event": "Unable to connect to 10.0.0.12:9092", "level": "warning", "logger": "a.library"}
    assert [expected] == lines(stream)


def test_an_event_below_the_level_is_cheap() -> None:
    """A few µs: four of them go with each call of a saturated worker. The bound is loose, for busy machines."""
    telemetry = Telemetry("json", "info", io.StringIO())
    event = ResultPublished("L1", "x", outcome="updated", lane="change", total_ms=900)
    best = float("inf")
    for _ in range(5):
        since = time.perf_counter()
        for _ in range(2_000):
            telemetry.record(event)
        best = min(best, time.perf_counter() - since)

    assert best / 2_000 < 15e-6
