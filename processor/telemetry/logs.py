"""The worker's log lines: telemetry events, libraries' log records and uncaught exceptions, without personal data.

Of an event only fields of the declared shape are logged. A library's log record loses everything that could be data.
Of an exception only its class and place are logged.
"""

import logging
import re
import sys
import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import fields
from logging import ERROR, WARNING
from pathlib import PurePath
from typing import Any, Final, Literal, TextIO, get_args, get_origin

import structlog

from processor.telemetry.catalogue import CATALOGUE, TelemetryEvent, code_pattern, id_pattern, wording_pattern

FieldGuard = Callable[[object], object]  # returns what may be logged of a value, or None
LogFormat = Literal["console", "json"]
LogLevel = Literal["debug", "info", "warning", "error"]

personal: Final = re.compile(
    r"\S+@\S+|bearer\s+\S+|\bpit-\S+|\beyJ[\w-]+(\.[\w-]*)*|\+\d[\d ().-]{5,}\d", re.IGNORECASE
)
quoted: Final = re.compile(r"(?<!\w)'[^']*'|\"[^\"]*\"")
phone_like: Final = re.compile(r"(?<![\w.])\(?\d[\d ().-]{7,}\d(?![\w.])")
ip_address: Final = re.compile(r"\d{1,3}(\.\d{1,3}){3}")
text_at_most: Final = 300


class EventLog:
    """The one place that writes log lines."""

    def __init__(self, log_format: LogFormat, log_level: LogLevel, stream: TextIO) -> None:
        self._level = logging.getLevelNamesMapping()[log_level.upper()]
        self._log = _logger(log_format, self._level, stream)
        self._below = {  # events that are never logged
            event
            for event in CATALOGUE
            if max(event.log.level, WARNING if event.log.expected_values else 0) < self._level
        }
        self._guards = {event: [(field.name, guard_of(field.type)) for field in fields(event)] for event in CATALOGUE}

    def write(self, event: TelemetryEvent) -> None:
        """Log the event if its level is logged at all."""
        if type(event) in self._below:
            return
        level, expected = event.log.level, event.log.expected_values
        if expected is not None and getattr(event, expected[0]) not in expected[1]:
            level = WARNING
        if level >= self._level:
            guarded = {name: guard(getattr(event, name)) for name, guard in self._guards[type(event)]}
            logged = {name: value for name, value in guarded.items() if value is not None}
            self._write(level, event.log.message, note=event.name, **logged)

    def capture(self) -> None:
        """Log what the process would print elsewhere: libraries' log records and uncaught exceptions."""
        root = logging.getLogger()
        root.handlers = [handler for handler in root.handlers if not isinstance(handler, _Libraries)]
        root.addHandler(_Libraries(self._write, max(WARNING, self._level)))
        root.setLevel(WARNING)
        logging.captureWarnings(True)
        sys.excepthook = lambda _, error, __: self._uncaught(error)
        sys.unraisablehook = lambda unraisable: self._uncaught(unraisable.exc_value)
        threading.excepthook = lambda uncaught: self._uncaught(uncaught.exc_value)

    def _uncaught(self, error: BaseException | None) -> None:
        if error is not None:
            self._write(ERROR, "uncaught exception", error=whereabouts(error))

    def _write(self, level: int, message: str, **logged: object) -> None:
        with suppress(OSError, ValueError):  # a full disk or a closed stream must not stop the work
            self._log.log(level, message, **logged)


def _logger(log_format: LogFormat, level: int, stream: TextIO) -> structlog.typing.FilteringBoundLogger:
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


# Guards of fields: types are no proof at run time, so a value is logged only if it has its field's shape


def guard_of(annotation: object) -> FieldGuard:
    """Return the guard of a field with this type. Raise TypeError if such a field can't be logged."""
    for part in (annotation, *get_args(annotation)):  # `X | None` has X among its arguments
        if pattern := next(iter(getattr(part, "__metadata__", ())), None):
            return wording if pattern is wording_pattern else matching(pattern)
        if part is int:
            return number
        if get_origin(part) is Sequence:
            return number_list
        if get_origin(part) is Mapping:
            return counts_by_code
    raise TypeError(f"{annotation} is no type of a telemetry event's field")


def matching(pattern: re.Pattern[str]) -> FieldGuard:
    """Return a guard for text of this pattern. It also rejects what looks personal: a token could be a topic's name."""

    def guard(value: object) -> object:
        fits = isinstance(value, str) and pattern.fullmatch(value) and not personal.search(value)
        return value if fits else None

    return guard


def wording(value: object) -> object:
    return scrubbed(value) if isinstance(value, str) and value.isprintable() else None


def number(value: object) -> object:
    return value if isinstance(value, int | float) else None


def number_list(value: object) -> object:
    return ",".join(str(one) for one in value if isinstance(one, int)) if isinstance(value, Sequence) else None


def counts_by_code(value: object) -> object:
    pairs = value.items() if isinstance(value, Mapping) else ()
    return {name: n for name, n in pairs if matching(code_pattern)(name) and isinstance(n, int)} or None


def scrubbed(text: str) -> str:
    """Return the text's beginning without everything that looks like an e-mail, a phone number or a token."""
    text = personal.sub("…", text[: 4 * text_at_most])  # cut: the pattern is slow on a megabyte without spaces
    text = phone_like.sub(lambda found: found[0] if ip_address.fullmatch(found[0]) else "…", text)
    return text[:text_at_most]


# What others log


class _Libraries(logging.Handler):
    """Log libraries' records: the message's first line without what it quotes, and arguments that are numbers or ids.

    asyncio writes values into the lines below the first one.
    """

    def __init__(self, write: Callable[..., None], level: int) -> None:
        super().__init__(level)
        self._write = write

    def emit(self, record: logging.LogRecord) -> None:
        logged: dict[str, object] = {"logger": record.name}
        if record.exc_info and record.exc_info[1]:
            logged["error"] = whereabouts(record.exc_info[1])
        self._write(ERROR if record.levelno >= ERROR else WARNING, _message(record), **logged)


def _message(record: logging.LogRecord) -> str:
    message, arguments = record.msg if isinstance(record.msg, str) else _argument(record.msg), record.args
    message = quoted.sub("…", message.partition("\n")[0])
    if arguments:
        with suppress(TypeError, ValueError, KeyError):  # then the bare format is enough
            if isinstance(arguments, Mapping):
                message = message % {name: _argument(value) for name, value in arguments.items()}
            else:
                message = message % tuple(map(_argument, arguments))
    return scrubbed(message)


def _argument(value: object) -> Any:  # str or number: the format decides which it needs
    if isinstance(value, BaseException):
        return whereabouts(value)
    if isinstance(value, str):
        return matching(id_pattern)(value) or "…"
    return value if isinstance(value, int | float) or value is None else f"<{type(value).__name__}>"


def whereabouts(error: BaseException) -> str:
    """Return class and place of an exception and of its causes. Its text may quote anything and is left out."""
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
