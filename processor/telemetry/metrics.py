"""The worker's Prometheus metrics, fed by telemetry events.

No metric has a location label: it would have as many series as there are customers.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Final, Generic, Literal, TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, generate_latest

from processor.telemetry.catalogue import CATALOGUE, TelemetryEvent, code_pattern
from processor.telemetry.logs import matching

M = TypeVar("M", Counter, Gauge, Histogram)
MetricUpdate = Callable[[TelemetryEvent, str | None], None]  # from an event and the field that the metric measures

call_buckets_s: Final = (0.005, 0.02, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3, 8)  # 0.4: the bar of interactive calls (§6.6)
turn_buckets_s: Final = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1)
long_buckets_s: Final = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 600, 3_600)


@dataclass(frozen=True, slots=True)
class Metric:
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()


def counter(help: str, *labels: str) -> Metric:
    return Metric("counter", help, labels)


def histogram(help: str, buckets: tuple[float, ...], *labels: str) -> Metric:
    return Metric("histogram", help, labels, buckets)


METRICS: Final[Mapping[str, Metric]] = {
    "hydrant_events_total": counter("Input events ingested", "type"),
    "hydrant_consumer_lag_seconds": histogram("Age of the oldest input event of a turn when ingested", long_buckets_s),
    "hydrant_results_total": counter("Results published (lead.synced)", "outcome", "lane"),
    "hydrant_result_seconds": histogram("From the oldest cause of a result to its publication", long_buckets_s, "lane"),
    "hydrant_calls_total": counter("HighLevel calls granted a slot of the rate budget", "kind", "lane"),
    "hydrant_permit_wait_seconds": histogram("From due to granted a slot", call_buckets_s, "lane"),
    "hydrant_answers_total": counter("Responses to granted calls, with those unsent or lost", "kind", "outcome"),
    "hydrant_network_seconds": histogram("From grant to response", call_buckets_s, "kind"),
    "hydrant_throttled_total": counter("429 responses: the location pauses"),
    "hydrant_status_changes_total": counter("Locations that entered this state", "state"),
    "hydrant_messages_total": counter("SMS messages imported (lead.message.imported)"),
    "hydrant_jobs_total": counter("Sync Alls and backfills that entered this state", "state"),
    "hydrant_dead_letters_total": counter("Events dead-lettered", "reason"),
    "hydrant_rehomed_total": counter("Events forwarded to their location's home partition"),
    "hydrant_turn_seconds": histogram("Computing a turn", turn_buckets_s),
    "hydrant_commit_seconds": histogram("Committing a turn to Kafka", turn_buckets_s),
    "hydrant_inputs_total": counter("Inputs of turns: events, responses, positions"),
    "hydrant_records_total": counter("Records published, the changelog's excepted"),
    "hydrant_changelog_rows_total": counter("Rows written to the changelog"),
    "hydrant_turn_failures_total": counter("Turns that raised and were rolled back"),
    "hydrant_owned_partitions": Metric("gauge", "Partitions that this worker owns"),
    "hydrant_open_seconds": histogram("Opening a partition, by what became of its state file", long_buckets_s, "state"),
    "hydrant_alerts_total": counter("Input positions that the log no longer had"),
    "hydrant_fenced_total": counter("Partitions lost to another worker"),
    "hydrant_broken_total": counter("Partitions reopened: a commit of unknown outcome, or no broker"),
    "hydrant_state_discarded_total": counter("State files that could not be used"),
    "hydrant_unsettled_clock_total": counter("Times that this worker's clock was off, and nothing was granted"),
}
series_at_most: Final = 100  # of one metric; more would be a mistake, and count as "other"
is_code: Final = matching(code_pattern)


class Metrics:
    """All metrics of METRICS in a registry of their own."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        disable_created_metrics()  # type: ignore[no-untyped-call]  # theirs; they would double the number of series
        makers = {"counter": _counter, "gauge": _gauge, "histogram": _histogram}
        made = {name: makers[metric.kind](name, metric, self._registry) for name, metric in METRICS.items()}
        self._updates: Mapping[type[TelemetryEvent], Sequence[tuple[MetricUpdate, str | None]]] = {
            event: [(made[name], field) for name, field in event.feeds.items()] for event in CATALOGUE
        }

    def update(self, event: TelemetryEvent) -> None:
        """Update each metric that the event feeds."""
        for update, field in self._updates[type(event)]:
            update(event, field)

    def exposition(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        return generate_latest(self._registry)


class _Series(Generic[M]):
    """The series of a metric by label values. prometheus-client looks one up more slowly."""

    def __init__(self, metric: M, labels: tuple[str, ...]) -> None:
        self._metric: M = metric
        self._labels = labels
        self._values = attrgetter(*labels) if labels else None  # gives a value, or a tuple for several labels
        self._known: dict[object, M] = {}

    def of(self, event: TelemetryEvent) -> M:
        return self._metric if self._values is None else self.labelled(self._values(event))

    def labelled(self, values: object) -> M:
        try:
            return self._known[values]
        except (KeyError, TypeError):
            return self._new(values)

    def _new(self, values: object) -> M:
        each = values if isinstance(values, tuple) and len(self._labels) > 1 else (values,)
        if len(self._known) < series_at_most and all(value is None or is_code(value) for value in each):
            texts = ("none" if value is None else value for value in each)
            return self._known.setdefault(values, self._metric.labels(*texts))
        return self._metric.labels(*["other"] * len(each))


def _counter(name: str, metric: Metric, registry: CollectorRegistry) -> MetricUpdate:
    series = _Series(Counter(name, metric.help, metric.labels, registry=registry), metric.labels)

    def update(event: TelemetryEvent, field: str | None) -> None:
        if field is None:
            series.of(event).inc()
        elif isinstance(amount := getattr(event, field), int | float):
            series.of(event).inc(max(amount, 0))
        elif isinstance(amount, Mapping) and metric.labels:  # label value → amount
            for value, each in amount.items():
                series.labelled(value).inc(each if isinstance(each, int | float) and each > 0 else 0)

    return update


def _gauge(name: str, metric: Metric, registry: CollectorRegistry) -> MetricUpdate:
    gauge = Gauge(name, metric.help, registry=registry)

    def update(event: TelemetryEvent, field: str | None) -> None:
        if field is not None and isinstance(value := getattr(event, field), int | float):
            gauge.set(value)

    return update


def _histogram(name: str, metric: Metric, registry: CollectorRegistry) -> MetricUpdate:
    made = Histogram(name, metric.help, metric.labels, registry=registry, buckets=metric.buckets)
    series = _Series(made, metric.labels)

    def update(event: TelemetryEvent, field: str | None) -> None:
        if field is not None and isinstance(ms := getattr(event, field), int | float):
            series.of(event).observe(ms / 1000)

    return update
