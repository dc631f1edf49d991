"""The history of a run: its workload, all topics as a read_committed reader sees them, and what arrived at HighLevel.

Checkers judge a `History` and nothing else, so one set of checkers serves the simulation and real Kafka. `of_topics` makes
one from real topics and the log of the sandbox; a simulated run makes its own.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import orjson

from processor.events.cloudevents import Record
from processor.ratelimit.budget import Rate
from processor.topics import TOPICS

from .faults import HighLevelFaults
from .workload.publication import Publication
from .workload.workload import Workload

Data = Mapping[str, Any]
LeadKey = tuple[str, str]  # location, id
Offset = tuple[str, int, int]  # topic, partition, offset


@dataclass(frozen=True, slots=True)
class CommittedRecord:
    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]
    timestamp_ms: int
    committed_ms: int  # ms since 1970, when its transaction was committed


@dataclass(frozen=True, slots=True)
class CommittedEvent:
    """An event of an output topic."""

    partition: int
    committed_ms: int
    kind: str
    time: str
    data: Data


@dataclass(frozen=True, slots=True)
class CallArrival:
    """A request in the log of HighLevel."""

    at: float  # ms since 1970
    location: str
    what: str  # GET, or POST and the path
    status: int


@dataclass(frozen=True, slots=True)
class SentCall:
    """A call as it left a worker. Only a simulation knows these."""

    at: int  # ms since 1970
    taken: int  # when the port took it
    location: str
    slot: int
    granted: int  # true time of its grant
    granted_by_clock: int  # time of its grant by the worker's clock
    worker: str
    kind: str  # search | contact | messages
    asks: frozenset[str]  # each begins with the id of a lead
    until: int | None  # when its response came, or it was given up; None: its worker died before
    outcome: str  # name of the response's class
    page: tuple[str, bool] | None  # of a listing: its job, and whether it belongs to the catch-up pass
    contact: str | None  # the contact of the messages that it asks for; None: all contacts
    arrived: int | None  # when it arrived at HighLevel

    def asks_about(self, lead: str) -> bool:
        return any(ask.split()[0] == lead for ask in self.asks)


@dataclass
class History:
    workload: Workload
    records: Mapping[tuple[str, int], Sequence[CommittedRecord]]  # by topic and partition
    publications: Mapping[Offset, Publication]  # of the workload, by the offset at which each was published
    arrivals: Sequence[CallArrival]
    calls: Sequence[SentCall] = ()
    rate: Rate = field(default_factory=Rate)
    faults: HighLevelFaults = field(default_factory=HighLevelFaults)
    kills: bool = False  # workers were killed or stopped
    rebalances: bool = False  # workers of a group came and went
    unknown_commits: bool = False  # some commits had an unknown outcome
    owner_gaps: bool = False  # for some seconds no worker owned a partition
    skew_ms: int = 0  # the clock of a worker is off by at most so much
    end_ms: int = 0  # ms since 1970
    prefix: str = ""  # of the topics' full names

    @property
    def undisturbed(self) -> bool:
        """True if nothing happened to the workers or their commits."""
        return not (self.kills or self.rebalances or self.unknown_commits)

    def in_partition(self, topic: str, partition: int) -> Sequence[CommittedRecord]:
        return self.records.get((topic, partition), ())

    def of_topic(self, topic: str) -> Iterator[CommittedRecord]:
        """Return the records of all partitions that the workers own, partition by partition."""
        for partition in self.workload.owned:
            yield from self.in_partition(topic, partition)

    def events(self, topic: str) -> list[CommittedEvent]:
        """Return the events of an output topic; within a partition in the order of the log."""
        if topic not in self._events:
            self._events[topic] = [event_of(record) for record in self.of_topic(topic)]
        return self._events[topic]

    def data(self, topic: str) -> Iterator[Data]:
        return (event.data for event in self.events(topic))

    @property
    def results(self) -> list[CommittedEvent]:
        return self.events("lead.updates")

    @cached_property
    def results_by_lead(self) -> dict[LeadKey, list[CommittedEvent]]:
        return by_lead(self.results)

    @cached_property
    def messages_by_lead(self) -> dict[LeadKey, list[CommittedEvent]]:
        return by_lead(self.events("lead.messages"))

    @cached_property
    def documents(self) -> dict[str, Any]:
        """Return the documents of the changelogs. The key of a position gets its partition as a prefix."""
        documents: dict[str, Any] = {}
        for record in self.of_topic("processor.changelog"):
            key = (record.key or b"").decode()
            name = f"{record.partition} {key}" if key.startswith("position ") else key
            if key in ("identity", "format"):  # of the log itself, and no documents
                continue
            if record.value is not None:
                documents[name] = orjson.loads(record.value)
            else:
                documents.pop(name, None)
        return documents

    @cached_property
    def calls_by_location(self) -> dict[str, list[SentCall]]:
        calls: dict[str, list[SentCall]] = {}
        for call in self.calls:
            calls.setdefault(call.location, []).append(call)
        return calls

    @cached_property
    def _events(self) -> dict[str, list[CommittedEvent]]:
        return {}


def event_of(record: CommittedRecord) -> CommittedEvent:
    event = orjson.loads(record.value or b"null")
    return CommittedEvent(record.partition, record.committed_ms, event["type"], event.get("time", ""), event["data"])


def by_lead(events: Iterable[CommittedEvent]) -> dict[LeadKey, list[CommittedEvent]]:
    found: dict[LeadKey, list[CommittedEvent]] = {}
    for event in events:
        found.setdefault((event.data["location_id"], event.data["lead_id"]), []).append(event)
    return found


def of_topics(
    workload: Workload, records: Iterable[Record], arrivals: Sequence[CallArrival] = (), **more: Any
) -> History:
    """Make a history from real topics, inputs included. `more` are further fields of the history.

    Kafka doesn't say when a transaction was committed. Events of one partition with the same `time` are of one turn, so they
    were committed together: with the latest of them.
    """
    places: dict[tuple[str, int], list[CommittedRecord]] = {}
    turns = [(one, (one.partition, turn_of(one))) for one in records]
    committed: dict[tuple[int, object], int] = {}
    for one, turn in turns:
        committed[turn] = max(committed.get(turn, 0), one.timestamp_ms)
    for one, turn in turns:
        position = one.topic, one.partition, one.offset
        record = CommittedRecord(*position, one.key, one.value, one.headers, one.timestamp_ms, committed[turn])
        places.setdefault((one.topic, one.partition), []).append(record)
    return History(workload, places, published(workload, places), arrivals, **more)


def turn_of(record: Record) -> object:
    """Return a value that all events of one turn have in common; for other records one of their own."""
    if TOPICS[record.topic].role == "output" and record.topic != "dead.letters":
        return orjson.loads(record.value or b"{}").get("time")
    return record.topic, record.offset


def published(
    workload: Workload, places: Mapping[tuple[str, int], Sequence[CommittedRecord]]
) -> dict[Offset, Publication]:
    """Find the offsets of each publication on the input topics: records that are alike, in their order.

    An upstream that doesn't know whether Kafka took a record publishes it again, so the last publication may have several.
    """
    waiting: dict[tuple[str, int, bytes, bytes | None], list[Publication]] = {}
    for one in workload.publications:
        place = one.topic, workload.partition_of(one), one.key.encode(), one.value
        waiting.setdefault(place, []).append(one)
    found: dict[Offset, Publication] = {}
    for (topic, partition), records in places.items():
        for record in records:
            if alike := waiting.get((topic, partition, record.key or b"", record.value)):
                found[topic, partition, record.offset] = alike.pop(0) if len(alike) > 1 else alike[0]
    return found
