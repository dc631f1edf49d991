"""One worker's telemetry: every event updates metrics and may become a log line."""

import sys
from collections.abc import Iterable
from typing import TextIO

from processor.telemetry.catalogue import TelemetryEvent
from processor.telemetry.logs import EventLog, LogFormat, LogLevel
from processor.telemetry.metrics import Metrics


class Telemetry:
    """Record telemetry events in logs and metrics."""

    def __init__(self, log_format: LogFormat, log_level: LogLevel, stream: TextIO | None = None) -> None:
        self._metrics = Metrics()
        self._log = EventLog(log_format, log_level, stream or sys.stderr)
        self.exposition = self._metrics.exposition
        self.capture = self._log.capture

    def record(self, events: TelemetryEvent | Iterable[TelemetryEvent]) -> None:
        """Update metrics and log. An event below the log level costs a few µs."""
        for event in (events,) if isinstance(events, TelemetryEvent) else events:
            self._metrics.update(event)
            self._log.write(event)
