"""Logs and metrics, made from notes alone: three tables (METRICS, FIELDS, NOTES) say everything there is to say.

Invariant 9 is kept by construction: of a note only declared fields are used, and only values of the shape that FIELDS
gives them; libraries' log records lose whatever could be data; of an exception only its class and place is told.
"""

import logging
import re
import sys
import threading
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from logging import DEBUG, ERROR, INFO, WARNING
from pathlib import PurePath
from typing import Any, Final, Generic, Literal, TextIO, TypeVar

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, generate_latest

from processor.shard.notes import Note

M = TypeVar("M", Counter, Histogram)
Fields = Mapping[str, object]
Update = Callable[[Fields, str | None], None]  # of a metric, with a note's fields and the one that says how much
Guard = Callable[[object], object]  # a value that may be told, or None
calls_s: Final = (
    0.005,
    0.02,
    0.05,
    0.1,
    0.2,
    0.4,
    0.8,
    1.6,
    3,
    8,
)  # 0.4: the promise to interactive calls (DESIGN §6.6)
turns_s: Final = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1)
long_s: Final = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 600, 3_600)


# Metrics: no location label, they would be as many as there are customers


@dataclass(frozen=True, slots=True)
class Metric:
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()


METRICS: Final[Mapping[str, Metric]] = {
    "hydrant_events_total": Metric("counter", "Input events heard", ("type",)),
    "hydrant_consumer_lag_seconds": Metric(
        "histogram", "Age of the oldest input event of a turn when heard", (), long_s
    ),
    "hydrant_results_total": Metric("counter", "Results published (lead.synced)", ("outcome", "lane")),
    "hydrant_result_seconds": Metric(
        "histogram", "From the oldest cause of a result to its publication", ("lane",), long_s
    ),
    "hydrant_calls_total": Metric("counter", "HighLevel calls granted a slot of the rate budget", ("kind", "lane")),
    "hydrant_permit_wait_seconds": Metric("histogram", "From due to granted a slot", ("lane",), calls_s),
    "hydrant_answers_total": Metric(
        "counter", "Answers to granted calls; unsent and lost are among them", ("kind", "outcome")
    ),
    "hydrant_network_seconds": Metric("histogram", "From grant to answer", ("kind",), calls_s),
    "hydrant_throttled_total": Metric("counter", "429 answers: the location pauses"),
    "hydrant_status_changes_total": Metric("counter", "Locations that entered this state", ("state",)),
    "hydrant_messages_total": Metric("counter", "SMS messages imported (lead.message.imported)"),
    "hydrant_jobs_total": Metric("counter", "Sync Alls and backfills that entered this state", ("state",)),
    "hydrant_dead_letters_total": Metric("counter", "Events buried in dead.letters", ("reason",)),
    "hydrant_rehomed_total": Metric("counter", "Events sent on to their location's home partition"),
    "hydrant_turn_seconds": Metric("histogram", "Computing a turn", (), turns_s),
    "hydrant_commit_seconds": Metric("histogram", "Committing a turn to Kafka", (), turns_s),
    "hydrant_inputs_total": Metric("counter", "Inputs of turns: events, answers, positions"),
    "hydrant_records_total": Metric("counter", "Records published, the changelog's excepted"),
    "hydrant_changelog_rows_total": Metric("counter", "Rows written to the changelog"),
    "hydrant_turn_failures_total": Metric("counter", "Turns that raised and were rolled back"),
    "hydrant_owned_partitions": Metric("gauge", "Partitions that this worker owns"),
    "hydrant_open_seconds": Metric(
        "histogram", "Opening a partition, by what became of its state file", ("state",), long_s
    ),
    "hydrant_alerts_total": Metric("counter", "Input positions that the log no longer had"),
    "hydrant_fenced_total": Metric("counter", "Partitions lost to another worker"),
    "hydrant_broken_total": Metric("counter", "Partitions reopened: a commit of unknown outcome, or no broker"),
    "hydrant_state_discarded_total": Metric("counter", "State files that could not be used"),
    "hydrant_unsettled_clock_total": Metric(
        "counter", "Times that this worker's clock was off, and nothing was granted"
    ),
}
label_values_at_most: Final = 100  # of one metric; more would be a mistake, and count as "other"


# Fields: a word means the same in every note

code: Final = re.compile(r"[a-z][a-z0-9_.]{0,63}")  # excludes e-mails, phones, names and texts
identifier: Final = re.compile(r"[\x21-\x7e]{1,128}")  # told as it is: digits alone are no phone here
topic: Final = re.compile(r"[a-zA-Z0-9._-]{1,249}")
place: Final = re.compile(r"\w{1,99} at [\w./<>-]{1,199}:\d+( < \w{1,99}( at [\w./<>-]{1,199}:\d+)?){0,9}", re.ASCII)
personal: Final = re.compile(
    r"\S+@\S+|bearer\s+\S+|\bpit-\S+|\beyJ[\w-]+(\.[\w-]*)*|\+\d[\d ().-]{5,}\d", re.IGNORECASE
)
quoted: Final = re.compile(r"(?<!\w)'[^']*'|\"[^\"]*\"")
digits: Final = re.compile(r"(?<![\w.])\(?\d[\d ().-]{7,}\d(?![\w.])")  # like a phone
ip_address: Final = re.compile(r"\d{1,3}(\.\d{1,3}){3}")
text_at_most: Final = 300


def scrubbed(text: str) -> str:
    """Its beginning, without whatever looks like an e-mail, a phone or a token."""
    text = personal.sub("…", text[: 4 * text_at_most])  # cut: the pattern is slow on a megabyte without spaces
    text = digits.sub(lambda found: found[0] if ip_address.fullmatch(found[0]) else "…", text)
    return text[:text_at_most]


def number(value: object) -> object:
    return value if isinstance(value, int | float) else None


def numbers(value: object) -> object:
    return ",".join(str(one) for one in value if isinstance(one, int)) if isinstance(value, Sequence) else None


def shaped(pattern: re.Pattern[str]) -> Guard:
    """Also free of what looks personal: a token is fit for a topic's name."""

    def guard(value: object) -> object:
        fits = isinstance(value, str) and pattern.fullmatch(value) and not personal.search(value)
        return value if fits else None

    return guard


def text(value: object) -> object:
    """Wording of our own, which names fields and never values."""
    return scrubbed(value) if isinstance(value, str) and value.isprintable() else None


def counts(value: object) -> object:
    """By a code: {"lead.changed": 3}."""
    pairs = value.items() if isinstance(value, Mapping) else ()
    return {name: n for name, n in pairs if shaped(code)(name) and isinstance(n, int)} or None


FIELDS: Final[Mapping[str, Guard]] = {
    **dict.fromkeys(("location", "lead", "request", "trace_id"), shaped(identifier)),
    **dict.fromkeys(("kind", "lane", "outcome", "plan", "previous", "reason", "resolved_by", "state"), shaped(code)),
    **dict.fromkeys(
        (
            "calls",
            "cause_count",
            "ceiling",
            "contacts",
            "count",
            "end",
            "home",
            "inputs",
            "leads",
            "leads_done",
            "messages",
        ),
        number,
    ),
    **dict.fromkeys(("offset", "partition", "position", "records", "rows", "status", "until", "values"), number),
    **dict.fromkeys(("commit_ms", "lag_ms", "ms", "network_ms", "off_ms", "permit_ms"), number),
    **dict.fromkeys(("queued_ms", "retry_after_ms", "total_ms", "turn_ms", "wait_ms"), number),
    "partitions": numbers,
    "topic": shaped(topic),
    "counts": counts,
    "error": shaped(place),
    "detail": text,
    "why": text,
}


# Notes


@dataclass(frozen=True, slots=True)
class Said:
    """What a note becomes. A metric is updated with the field named, in its unit; None: it counts the note itself."""

    level: int
    message: str
    fields: tuple[str, ...] = ()
    metrics: Mapping[str, str | None] = field(default_factory=dict)
    calm: tuple[str, tuple[str, ...]] | None = (
        None  # a field and its values; with any other value the note is a warning
    )


timings: Final = ("total_ms", "queued_ms", "permit_ms", "network_ms")
NOTES: Final[Mapping[str, Said]] = {
    "heard": Said(
        DEBUG,
        "events heard",
        ("counts", "lag_ms"),
        {"hydrant_events_total": "counts", "hydrant_consumer_lag_seconds": "lag_ms"},
    ),
    "result": Said(
        DEBUG,
        "result published",
        ("location", "lead", "outcome", "lane", "resolved_by", "reason", *timings, "cause_count"),
        {"hydrant_results_total": None, "hydrant_result_seconds": "total_ms"},
    ),
    "granted": Said(
        DEBUG,
        "call granted",
        ("location", "kind", "lane", "wait_ms", "values", "leads"),
        {"hydrant_calls_total": None, "hydrant_permit_wait_seconds": "wait_ms"},
    ),
    "answered": Said(
        DEBUG,
        "call answered",
        ("location", "kind", "outcome", "status", "trace_id", "network_ms", "contacts", "messages"),
        {"hydrant_answers_total": None, "hydrant_network_seconds": "network_ms"},
        calm=("outcome", ("found", "page", "exported", "gone")),
    ),
    "tightened": Said(
        INFO, "others spend this location's budget, or its limit is lower", ("location", "ceiling", "until")
    ),
    "throttled": Said(
        WARNING, "location throttled", ("location", "retry_after_ms", "until"), {"hydrant_throttled_total": None}
    ),
    "status": Said(
        INFO,
        "location changed state",
        ("location", "state", "previous", "reason", "until"),
        {"hydrant_status_changes_total": None},
        calm=("state", ("ok",)),
    ),
    "imported": Said(DEBUG, "messages imported", ("location", "lead", "count"), {"hydrant_messages_total": "count"}),
    "job": Said(
        INFO,
        "job",
        ("location", "request", "partition", "state", "plan", "reason", "leads", "leads_done", "calls", "ms"),
        {"hydrant_jobs_total": None},
        calm=("state", ("started", "completed", "cancelled")),
    ),
    "buried": Said(
        WARNING,
        "event buried",
        ("reason", "detail", "topic", "partition", "offset"),
        {"hydrant_dead_letters_total": None},
    ),
    "rehomed": Said(INFO, "event sent home", ("topic", "partition", "offset", "home"), {"hydrant_rehomed_total": None}),
    "turn_failed": Said(ERROR, "turn failed", ("partition", "error"), {"hydrant_turn_failures_total": None}),
    "opening": Said(INFO, "partition opening", ("partition",)),
    "restoring": Said(INFO, "partition restoring", ("partition", "rows", "position", "end")),
    "opened": Said(INFO, "partition opened", ("partition", "rows", "ms", "state"), {"hydrant_open_seconds": "ms"}),
    "alert": Said(WARNING, "input position gone", ("partition", "topic", "why"), {"hydrant_alerts_total": None}),
    "turn": Said(
        DEBUG,
        "turn committed",
        ("partition", "inputs", "records", "rows", "calls", "turn_ms", "commit_ms"),
        {
            "hydrant_turn_seconds": "turn_ms",
            "hydrant_commit_seconds": "commit_ms",
            "hydrant_inputs_total": "inputs",
            "hydrant_records_total": "records",
            "hydrant_changelog_rows_total": "rows",
        },
    ),
    "fenced": Said(WARNING, "partition fenced", ("partition",), {"hydrant_fenced_total": None}),
    "broken": Said(WARNING, "partition broken", ("partition", "why"), {"hydrant_broken_total": None}),
    "closed": Said(INFO, "partition closed", ("partition",)),
    "owned": Said(INFO, "partitions owned", ("partitions", "count"), {"hydrant_owned_partitions": "count"}),
    "unsettled_clock": Said(
        WARNING, "clock off, nothing is granted", ("off_ms",), {"hydrant_unsettled_clock_total": None}
    ),
    "tokens": Said(WARNING, "tokens file can't be read, the last good one holds", ("why",)),
    "stopping": Said(INFO, "worker stopping"),
    "stopped": Said(INFO, "worker stopped"),
    "state_discarded": Said(
        WARNING, "state file discarded", ("partition", "why"), {"hydrant_state_discarded_total": None}
    ),
}


class UnknownNote(Exception):
    """A note that NOTES doesn't know: declare it there."""


class Telemetry:
    """One worker's logs and metrics. `strict`, for tests: an unknown note is an error instead of a warning."""

    def __init__(
        self,
        log_format: Literal["console", "json"],
        log_level: Literal["debug", "info", "warning", "error"],
        stream: TextIO | None = None,
        strict: bool = False,
    ) -> None:
        self._level = logging.getLevelNamesMapping()[log_level.upper()]
        self._log = _logger(log_format, self._level, stream or sys.stderr)
        self._strict = strict
        self._unknown: set[str] = set()
        self._registry = CollectorRegistry()
        disable_created_metrics()  # type: ignore[no-untyped-call]  # theirs; they would double the number of series
        self._metrics = {name: makers[metric.kind](metric, name, self._registry) for name, metric in METRICS.items()}
        self._updates = {name: self._updates_of(said) for name, said in NOTES.items()}

    def take(self, notes: Note | Iterable[Note]) -> None:
        """Count and log. Costs a few µs a note that is below the log level."""
        for note in (notes,) if isinstance(notes, Note) else notes:
            said = NOTES.get(note.name)
            if said is None:
                self._unheard(note.name)
                continue
            for update, by in self._updates[note.name]:
                update(note.fields, by)
            level = said.level
            if said.calm is not None and note.fields.get(said.calm[0]) not in said.calm[1]:
                level = WARNING
            if level >= self._level:
                guarded = {name: FIELDS[name](note.fields[name]) for name in said.fields if name in note.fields}
                self._say(
                    level,
                    said.message,
                    note=note.name,
                    **{name: value for name, value in guarded.items() if value is not None},
                )

    def exposition(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return generate_latest(self._registry)

    def capture(self) -> None:
        """Take over what the process would tell past us: libraries' logs, and exceptions that nobody catches."""
        root = logging.getLogger()
        root.handlers = [handler for handler in root.handlers if not isinstance(handler, _Libraries)]
        root.addHandler(_Libraries(self._say, max(WARNING, self._level)))
        root.setLevel(WARNING)
        logging.captureWarnings(True)
        sys.excepthook = lambda _, error, __: self._uncaught(error)
        sys.unraisablehook = lambda unraisable: self._uncaught(unraisable.exc_value)
        threading.excepthook = lambda uncaught: self._uncaught(uncaught.exc_value)

    def _updates_of(self, said: Said) -> Sequence[tuple[Update, str | None]]:
        return [(self._metrics[name], field) for name, field in said.metrics.items()]

    def _unheard(self, name: str) -> None:
        if self._strict:
            raise UnknownNote(name)
        if name not in self._unknown and len(self._unknown) < 100:
            self._unknown.add(name)
            self._say(WARNING, "unknown note", name=shaped(code)(name))

    def _uncaught(self, error: BaseException | None) -> None:
        if error is not None:
            self._say(ERROR, "uncaught exception", error=whereabouts(error))

    def _say(self, level: int, message: str, **fields: object) -> None:
        with suppress(OSError, ValueError):  # a full disk or a closed stream must not stop the work
            self._log.log(level, message, **fields)


# prometheus-client's metrics, made fast: a label set is looked up once


class _Series(Generic[M]):
    """A metric and its children by label values."""

    def __init__(self, metric: M, labels: tuple[str, ...]) -> None:
        self._metric: M = metric
        self._labels = labels
        self._children: dict[tuple[object, ...], M] = {}

    def of(self, fields: Fields) -> M:
        return self.child(tuple([fields.get(label) for label in self._labels]))

    def child(self, values: tuple[object, ...]) -> M:
        try:
            return self._children[values]
        except (KeyError, TypeError):
            return self._new(values)

    def _new(self, values: tuple[object, ...]) -> M:
        if not values:
            return self._children.setdefault((), self._metric)
        if len(self._children) < label_values_at_most and all(value is None or shaped(code)(value) for value in values):
            return self._children.setdefault(
                values, self._metric.labels(*("none" if value is None else value for value in values))
            )
        return self._metric.labels(*["other"] * len(values))


def _counter(metric: Metric, name: str, registry: CollectorRegistry) -> Update:
    series = _Series(Counter(name, metric.help, metric.labels, registry=registry), metric.labels)

    def update(fields: Fields, field: str | None) -> None:
        if field is None:
            series.of(fields).inc()
        elif isinstance(amount := fields.get(field), int | float):
            series.of(fields).inc(max(amount, 0))
        elif isinstance(amount, Mapping) and metric.labels:  # label value → amount
            for value, each in amount.items():
                series.child((value,)).inc(each if isinstance(each, int | float) and each > 0 else 0)

    return update


def _histogram(metric: Metric, name: str, registry: CollectorRegistry) -> Update:
    series = _Series(
        Histogram(name, metric.help, metric.labels, registry=registry, buckets=metric.buckets), metric.labels
    )

    def update(fields: Fields, field: str | None) -> None:
        if field is not None and isinstance(ms := fields.get(field), int | float):
            series.of(fields).observe(ms / 1000)

    return update


def _gauge(metric: Metric, name: str, registry: CollectorRegistry) -> Update:
    gauge = Gauge(name, metric.help, registry=registry)

    def update(fields: Fields, field: str | None) -> None:
        if field is not None and isinstance(value := fields.get(field), int | float):
            gauge.set(value)

    return update


makers: Final[Mapping[str, Callable[[Metric, str, CollectorRegistry], Update]]] = {
    "counter": _counter,
    "histogram": _histogram,
    "gauge": _gauge,
}


# Logs


def _logger(log_format: str, level: int, stream: TextIO) -> structlog.typing.FilteringBoundLogger:
    renderer: structlog.typing.Processor = structlog.processors.JSONRenderer()
    if log_format == "console":
        renderer = structlog.dev.ConsoleRenderer(colors=stream.isatty(), timestamp_key="time")
    processors: list[structlog.typing.Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper("iso", utc=True, key="time"),
        renderer,
    ]
    made: structlog.typing.FilteringBoundLogger = structlog.wrap_logger(
        structlog.PrintLogger(stream), processors, structlog.make_filtering_bound_logger(level)
    )
    return made


class _Libraries(logging.Handler):
    """What libraries log, without what could be data: of an argument only a number or an id, of an exception only its
    class and place, of the message its first line (asyncio tells values below it) without what it quotes."""

    def __init__(self, say: Callable[..., None], level: int) -> None:
        super().__init__(level)
        self._say = say

    def emit(self, record: logging.LogRecord) -> None:
        fields: dict[str, object] = {"logger": record.name}
        if record.exc_info and record.exc_info[1]:
            fields["error"] = whereabouts(record.exc_info[1])
        self._say(ERROR if record.levelno >= ERROR else WARNING, _message(record), **fields)


def _message(record: logging.LogRecord) -> str:
    message, arguments = record.msg if isinstance(record.msg, str) else _argument(record.msg), record.args
    message = quoted.sub("…", message.partition("\n")[0])
    if arguments:
        with suppress(TypeError, ValueError, KeyError):  # then the bare format tells enough
            if isinstance(arguments, Mapping):
                message = message % {name: _argument(value) for name, value in arguments.items()}
            else:
                message = message % tuple(map(_argument, arguments))
    return scrubbed(message)


def _argument(value: object) -> Any:  # str or number: whatever the format asks for
    if isinstance(value, BaseException):
        return whereabouts(value)
    if isinstance(value, str):
        return shaped(identifier)(value) or "…"
    return value if isinstance(value, int | float) or value is None else f"<{type(value).__name__}>"


def whereabouts(error: BaseException) -> str:
    """Class and place of an exception and of what led to it; never its text, which may quote anything."""
    chain: list[str] = []
    link: BaseException | None = error
    while link is not None and len(chain) < 5:
        chain.append(f"{type(link).__name__}{_place(link)}")
        if isinstance(link, BaseExceptionGroup):
            link = link.exceptions[0]
        else:
            link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)
    return " < ".join(chain)


def _place(error: BaseException) -> str:
    frames = [(frame.f_code.co_filename, line) for frame, line in traceback.walk_tb(error.__traceback__)]
    if not frames:
        return ""
    ours = [found for found in frames if "/processor/" in found[0]]
    file, line = (ours or frames)[-1]
    return f" at {'/'.join(PurePath(file).parts[-2:])}:{line}".replace("//", "/")
