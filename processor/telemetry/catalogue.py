"""Every telemetry event, declared once: its fields, its log line and the metrics that it feeds.

The catalogue keeps personal data out of logs. An event has only the fields declared here, and a field is logged only
if its value has the declared shape. A field means the same in every event.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from logging import DEBUG, ERROR, INFO, WARNING
from typing import Annotated, ClassVar, Final, TypeAlias, TypeVar, dataclass_transform

# The shapes of text. Each excludes what it can: a code holds no e-mail, phone number, name or sentence.

code_pattern: Final = re.compile(r"[a-z][a-z0-9_.]{0,63}")
id_pattern: Final = re.compile(r"[\x21-\x7e]{1,128}")  # logged as it is: an id of digits is no phone number
whereabouts_pattern: Final = re.compile(
    r"\w{1,99} at [\w./<>-]{1,199}:\d+( < \w{1,99}( at [\w./<>-]{1,199}:\d+)?){0,9}", re.ASCII
)
wording_pattern: Final = re.compile(r"(?s:.*)")  # our own words, which name fields and never values; logged scrubbed

CodeText: TypeAlias = Annotated[str, code_pattern]
IdText: TypeAlias = Annotated[str, id_pattern]
TopicText: TypeAlias = Annotated[str, re.compile(r"[a-zA-Z0-9._-]{1,249}")]
WhereaboutsText: TypeAlias = Annotated[str, whereabouts_pattern]
WordingText: TypeAlias = Annotated[str, wording_pattern]


@dataclass(frozen=True, slots=True)
class LogSpec:
    """The log line of an event. An event with an unexpected value is logged as a warning."""

    level: int
    message: str
    expected_values: tuple[str, tuple[str, ...]] | None  # a field and the values that are no reason to warn


@dataclass(frozen=True, slots=True)
class TelemetryEvent:
    """Something that logs and metrics should show."""

    name: ClassVar[str]  # the log field `note`
    log: ClassVar[LogSpec]
    feeds: ClassVar[Mapping[str, str | None]]  # a metric and the field that it measures; None: it counts the event


CATALOGUE: Final[list[type[TelemetryEvent]]] = []
AnyEvent = TypeVar("AnyEvent", bound=TelemetryEvent)


@dataclass_transform(frozen_default=True)
def telemetry_event(
    name: str,
    level: int,
    message: str,
    feeds: Mapping[str, str | None] | None = None,
    expected_values: tuple[str, tuple[str, ...]] | None = None,
) -> Callable[[type[AnyEvent]], type[AnyEvent]]:
    """Make a class a frozen dataclass and add it to the catalogue."""

    def declare(declared: type[AnyEvent]) -> type[AnyEvent]:
        declared.name, declared.log, declared.feeds = name, LogSpec(level, message, expected_values), feeds or {}
        event = dataclass(frozen=True, slots=True)(declared)
        CATALOGUE.append(event)
        return event

    return declare


# The work of a shard


@telemetry_event(
    "heard", DEBUG, "events ingested", {"hydrant_events_total": "counts", "hydrant_consumer_lag_seconds": "lag_ms"}
)
class EventsIngested(TelemetryEvent):
    counts: Mapping[str, int]  # by the events' type
    lag_ms: int | None = None


@telemetry_event(
    "result", DEBUG, "result published", {"hydrant_results_total": None, "hydrant_result_seconds": "total_ms"}
)
class ResultPublished(TelemetryEvent):
    location: IdText
    lead: IdText
    outcome: CodeText
    lane: CodeText
    resolved_by: CodeText | None = None
    reason: CodeText | None = None
    total_ms: int | None = None
    queued_ms: int | None = None
    permit_ms: int | None = None
    network_ms: int | None = None
    cause_count: int | None = None


@telemetry_event(
    "granted", DEBUG, "call granted", {"hydrant_calls_total": None, "hydrant_permit_wait_seconds": "wait_ms"}
)
class CallGranted(TelemetryEvent):
    location: IdText
    kind: CodeText
    lane: CodeText
    wait_ms: int
    values: int
    leads: int


@telemetry_event(
    "answered",
    DEBUG,
    "response ingested",
    {"hydrant_answers_total": None, "hydrant_network_seconds": "network_ms"},
    ("outcome", ("found", "page", "exported", "gone")),
)
class ResponseIngested(TelemetryEvent):
    location: IdText
    kind: CodeText
    outcome: CodeText
    status: int | None = None
    trace_id: IdText | None = None
    network_ms: int | None = None
    contacts: int | None = None
    messages: int | None = None


@telemetry_event("tightened", INFO, "others spend this location's budget, or its limit is lower")
class ExternalCapLowered(TelemetryEvent):
    location: IdText
    ceiling: int
    until: int


@telemetry_event("throttled", WARNING, "location throttled", {"hydrant_throttled_total": None})
class LocationThrottled(TelemetryEvent):
    location: IdText
    retry_after_ms: int | None = None
    until: int | None = None


@telemetry_event("status", INFO, "location changed state", {"hydrant_status_changes_total": None}, ("state", ("ok",)))
class StatusChanged(TelemetryEvent):
    location: IdText
    state: CodeText
    previous: CodeText | None = None
    reason: CodeText | None = None
    until: int | None = None


@telemetry_event("imported", DEBUG, "messages imported", {"hydrant_messages_total": "count"})
class MessagesImported(TelemetryEvent):
    location: IdText
    lead: IdText
    count: int


@telemetry_event("job", INFO, "job", {"hydrant_jobs_total": None}, ("state", ("started", "completed", "cancelled")))
class JobChanged(TelemetryEvent):
    location: IdText | None  # None: a backfill, which has none
    request: IdText
    state: CodeText
    plan: CodeText | None = None
    reason: CodeText | None = None
    leads: int | None = None
    leads_done: int | None = None
    calls: int | None = None
    ms: int | None = None  # since it started


@telemetry_event("buried", WARNING, "event dead-lettered", {"hydrant_dead_letters_total": None})
class EventDeadLettered(TelemetryEvent):
    reason: CodeText
    detail: WordingText | None = None
    topic: TopicText | None = None
    partition: int | None = None
    offset: int | None = None


@telemetry_event("rehomed", INFO, "event forwarded home", {"hydrant_rehomed_total": None})
class EventForwarded(TelemetryEvent):
    topic: TopicText
    partition: int
    offset: int
    home: int


# A partition and its owner


@telemetry_event("turn_failed", ERROR, "turn failed", {"hydrant_turn_failures_total": None})
class TurnFailed(TelemetryEvent):
    partition: int
    error: WhereaboutsText


@telemetry_event("opening", INFO, "partition opening")
class PartitionOpening(TelemetryEvent):
    partition: int


@telemetry_event("restoring", INFO, "partition restoring")
class PartitionRestoring(TelemetryEvent):
    partition: int
    rows: int
    position: int
    end: int


@telemetry_event("opened", INFO, "partition opened", {"hydrant_open_seconds": "ms"})
class PartitionOpened(TelemetryEvent):
    partition: int
    state: CodeText  # what became of its state file
    rows: int
    ms: int


@telemetry_event("alert", WARNING, "input position gone", {"hydrant_alerts_total": None})
class InputPositionLost(TelemetryEvent):
    partition: int
    topic: TopicText
    why: WordingText


@telemetry_event(
    "turn",
    DEBUG,
    "turn committed",
    {
        "hydrant_turn_seconds": "turn_ms",
        "hydrant_commit_seconds": "commit_ms",
        "hydrant_inputs_total": "inputs",
        "hydrant_records_total": "records",
        "hydrant_changelog_rows_total": "rows",
    },
)
class TurnCommitted(TelemetryEvent):
    partition: int
    inputs: int
    records: int
    rows: int
    calls: int
    turn_ms: int
    commit_ms: int


@telemetry_event("fenced", WARNING, "partition fenced", {"hydrant_fenced_total": None})
class PartitionFenced(TelemetryEvent):
    partition: int


@telemetry_event("broken", WARNING, "partition broken", {"hydrant_broken_total": None})
class PartitionBroken(TelemetryEvent):
    partition: int
    why: WordingText


@telemetry_event("closed", INFO, "partition closed")
class PartitionClosed(TelemetryEvent):
    partition: int


@telemetry_event("state_discarded", WARNING, "state file discarded", {"hydrant_state_discarded_total": None})
class StateDiscarded(TelemetryEvent):
    partition: int
    why: WordingText


# The worker


@telemetry_event("owned", INFO, "partitions owned", {"hydrant_owned_partitions": "count"})
class PartitionsOwned(TelemetryEvent):
    partitions: Sequence[int]
    count: int


@telemetry_event("unsettled_clock", WARNING, "clock off, nothing is granted", {"hydrant_unsettled_clock_total": None})
class WallClockStepped(TelemetryEvent):
    off_ms: int


@telemetry_event("tokens", WARNING, "tokens file can't be read, the last good one holds")
class TokensUnreadable(TelemetryEvent):
    why: WordingText


@telemetry_event("stopping", INFO, "worker stopping")
class WorkerStopping(TelemetryEvent):
    pass


@telemetry_event("stopped", INFO, "worker stopped")
class WorkerStopped(TelemetryEvent):
    pass
