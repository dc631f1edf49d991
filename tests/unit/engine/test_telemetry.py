"""Logs and metrics say what the tables say, and never a customer's data."""

import io
import json
import logging
import sys
import threading
import time
from collections.abc import Iterator, Mapping

import pytest

from processor.engine.telemetry import FIELDS, METRICS, NOTES, Telemetry, UnknownNote, scrubbed, whereabouts
from processor.shard.notes import Note

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
    return Telemetry("json", "debug", stream, strict=True)


@pytest.fixture
def captured(telemetry: Telemetry) -> Iterator[Telemetry]:
    """Process-wide capture, undone afterwards."""
    root = logging.getLogger()
    before = root.handlers[:], root.level, sys.excepthook, sys.unraisablehook, threading.excepthook
    root.handlers[:] = []
    telemetry.capture()
    yield telemetry
    root.handlers[:], level, sys.excepthook, sys.unraisablehook, threading.excepthook = before
    root.setLevel(level)
    logging.captureWarnings(False)


def lines(stream: io.StringIO) -> list[dict[str, object]]:
    said = [json.loads(line) for line in stream.getvalue().splitlines()]
    return [{key: value for key, value in line.items() if key != "time"} for line in said]


def samples(telemetry: Telemetry) -> dict[str, float]:
    """What /metrics shows, buckets left out."""
    shown = (line.rsplit(" ", 1) for line in telemetry.exposition().decode().splitlines() if not line.startswith("#"))
    return {series: float(value) for series, value in shown if "_bucket" not in series and float(value)}


def failed_with(*chain: str) -> BaseException:
    """An exception with these texts, each the cause of the next."""
    error: BaseException | None = None
    for text in chain:
        try:
            raise ValueError(text, {"text": text}) from error
        except ValueError as raised:
            error = raised
    assert error is not None
    return error


def test_a_note_becomes_a_line(telemetry: Telemetry, stream: io.StringIO) -> None:
    telemetry.take(Note("opened", {"partition": 3, "rows": 12, "ms": 40, "state": "restored"}))

    expected = {"event": "partition opened", "level": "info", "note": "opened"}
    assert [expected | {"partition": 3, "rows": 12, "ms": 40, "state": "restored"}] == lines(stream)


def test_a_note_becomes_metrics(telemetry: Telemetry) -> None:
    """Milliseconds become seconds; a mapping counts by its keys; a note counts itself."""
    telemetry.take(
        [
            Note("heard", {"counts": {"lead.changed": 3, "sync.lead.requested": 1}, "lag_ms": 250}),
            Note("heard", {"counts": {"lead.changed": 2}}),
            Note("result", {"location": "L1", "lead": "x", "outcome": "updated", "lane": "change", "total_ms": 1500}),
            Note(
                "turn",
                {"partition": 0, "inputs": 5, "records": 2, "rows": 7, "calls": 1, "turn_ms": 3, "commit_ms": 16},
            ),
            Note("owned", {"partitions": [0, 1, 2], "count": 3}),
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
    telemetry.take(Note("owned", {"partitions": [0, 2], "count": 2}))

    assert ["0,2"] == [line["partitions"] for line in lines(stream)]


def test_owned_partitions_are_counted(telemetry: Telemetry) -> None:
    telemetry.take(Note("owned", {"partitions": [0, 1, 2, 3], "count": 4}))

    assert {"hydrant_owned_partitions": 4} == samples(telemetry)


@pytest.mark.parametrize(
    ("note", "fields", "level"),
    [
        ("answered", {"outcome": "found"}, "debug"),
        ("answered", {"outcome": "gone"}, "debug"),
        ("answered", {"outcome": "lost"}, "warning"),
        ("status", {"state": "ok"}, "info"),
        ("status", {"state": "throttled"}, "warning"),
        ("turn_failed", {"partition": 1}, "error"),
    ],
)
def test_what_went_wrong_is_louder(
    telemetry: Telemetry, stream: io.StringIO, note: str, fields: Mapping[str, object], level: str
) -> None:
    telemetry.take(Note(note, fields))

    assert [level] == [line["level"] for line in lines(stream)]


def test_below_the_level_nothing_is_said_but_all_is_counted(stream: io.StringIO) -> None:
    telemetry = Telemetry("json", "warning", stream)
    telemetry.take(Note("rehomed", {"topic": "lead.changes", "partition": 1, "offset": 2, "home": 3}))

    assert ("", {"hydrant_rehomed_total": 1}) == (stream.getvalue(), samples(telemetry))


def test_an_unknown_note_is_an_error_in_tests(telemetry: Telemetry) -> None:
    with pytest.raises(UnknownNote, match="herd"):
        telemetry.take(Note("herd", {}))


def test_an_unknown_note_is_told_once_at_run_time(stream: io.StringIO) -> None:
    telemetry = Telemetry("json", "info", stream)
    telemetry.take([Note("herd", {"count": 1}), Note("herd", {"count": 2})])

    assert [{"event": "unknown note", "level": "warning", "name": "herd"}] == lines(stream)


def test_undeclared_fields_are_dropped(telemetry: Telemetry, stream: io.StringIO) -> None:
    telemetry.take(Note("closed", {"partition": 1, "count": 9, "email": email}))

    assert [{"event": "partition closed", "level": "info", "note": "closed", "partition": 1}] == lines(stream)


def test_the_console_is_for_people(stream: io.StringIO) -> None:
    Telemetry("console", "info", stream).take(Note("opening", {"partition": 7}))

    assert "partition opening" in stream.getvalue()
    assert "partition=7" in stream.getvalue()


def test_a_broken_stream_does_not_stop_the_work(telemetry: Telemetry, stream: io.StringIO) -> None:
    stream.close()
    telemetry.take(Note("fenced", {"partition": 1}))

    assert {"hydrant_fenced_total": 1} == samples(telemetry)


def test_the_tables_fit_each_other() -> None:
    """Each field has one meaning; each metric is in the catalogue and is fed; none has a location label."""
    fed = {metric for said in NOTES.values() for metric in said.metrics}
    needed = {field for said in NOTES.values() for field in said.fields}

    assert set(METRICS) == fed
    assert set(FIELDS) == needed
    for said in NOTES.values():
        for metric, field in said.metrics.items():
            assert field is None or field in said.fields
            assert {"location", "lead"}.isdisjoint(METRICS[metric].labels)
            assert set(METRICS[metric].labels) <= {*said.fields, "type"}


def test_label_values_are_bounded(telemetry: Telemetry) -> None:
    """A mistake upstream, a label for each lead, say, must not fill the memory."""
    for n in range(1000):
        telemetry.take(Note("buried", {"reason": f"reason_{n}"}))

    shown = samples(telemetry)
    assert 101 == len(shown)
    assert 900 == shown['hydrant_dead_letters_total{reason="other"}']


@pytest.mark.parametrize("canary", canaries)
@pytest.mark.parametrize("note", NOTES)
def test_no_note_tells_personal_data(note: str, canary: str) -> None:
    """Whatever stands in whichever field, also where the field should hold a number or a list of them."""
    wording = (
        set() if canary in scrubbable else {"detail", "why"}
    )  # our own words, which only their writer can vouch for
    for value in (canary, [canary], {canary: 1}, {canary: canary}, failed_with(canary)):
        stream = io.StringIO()
        telemetry = Telemetry("json", "debug", stream, strict=True)
        fields = dict.fromkeys((*FIELDS, canary, "email", "event", "level"), value)
        telemetry.take(Note(note, {field: value for field, value in fields.items() if field not in wording}))

        told = stream.getvalue() + telemetry.exposition().decode()
        assert canary not in told
        assert json.dumps(canary)[1:-1] not in told


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
    assert "ValueError at engine/test_telemetry.py:" in whereabouts(failed_with(email))
    assert 3 == len(whereabouts(failed_with(email, phone, name)).split(" < "))


def test_the_place_of_an_exception_is_a_field(telemetry: Telemetry, stream: io.StringIO) -> None:
    error = whereabouts(failed_with(message, token))
    telemetry.take(Note("turn_failed", {"partition": 1, "error": error}))

    assert [error] == [line["error"] for line in lines(stream)]


@pytest.mark.parametrize("canary", canaries)
def test_no_library_tells_personal_data(captured: Telemetry, stream: io.StringIO, canary: str) -> None:
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
    """Then the bare format is told."""
    record = logging.LogRecord("aiokafka", logging.WARNING, __file__, 1, "%d of %s", (name, email), None)
    ours = [handler for handler in logging.getLogger().handlers if "telemetry" in type(handler).__module__]
    ours[0].handle(record)

    assert [{"event": "%d of %s", "level": "warning", "logger": "aiokafka"}] == lines(stream)


def test_no_uncaught_exception_tells_personal_data(captured: Telemetry, stream: io.StringIO) -> None:
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


def test_libraries_are_heard_from_warnings_on(captured: Telemetry, stream: io.StringIO) -> None:
    logging.getLogger("httpx").info("GET https://example.com")
    logging.getLogger("a.library").warning("Unable to connect to %s:%d", "10.0.0.12", 9092)

    expected = {"event": "Unable to connect to 10.0.0.12:9092", "level": "warning", "logger": "a.library"}
    assert [expected] == lines(stream)


def test_a_note_below_the_level_is_cheap() -> None:
    """A few µs: four of them go with each call of a saturated worker. The bound is loose, for busy machines."""
    telemetry = Telemetry("json", "info", io.StringIO())
    note = Note("result", {"location": "L1", "lead": "x", "outcome": "updated", "lane": "change", "total_ms": 900})
    best = float("inf")
    for _ in range(5):
        since = time.perf_counter()
        for _ in range(2_000):
            telemetry.take(note)
        best = min(best, time.perf_counter() - since)

    assert best / 2_000 < 15e-6
