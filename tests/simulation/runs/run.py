"""A run: a workload, the world that it ran in, and everything that is there to judge afterwards."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

from processor.highlevel import requests
from processor.ratelimit.budget import Rate
from tests.lab.faults import HighLevelFaults
from tests.lab.history import CallArrival, CommittedEvent, CommittedRecord, History, SentCall
from tests.lab.workload.workload import Workload
from tests.simulation.faults.clock_steps import ClockStep
from tests.simulation.faults.group_faults import GroupFault
from tests.simulation.faults.kills import Kill
from tests.simulation.world.broker import Faults, Kafka
from tests.simulation.world.clock import SkewedClock
from tests.simulation.world.group import Group
from tests.simulation.world.highlevel import Server
from tests.simulation.world.loop import VirtualLoop
from tests.simulation.world.network import Network, Sent
from tests.simulation.world.trace import Trace
from tests.simulation.world.worker import Worker

whole_pages: Final = requests.page_limit  # of the contract, before a small world patches it
long_pause_ms: Final = 1_000


@dataclass(frozen=True)
class World:
    """The conditions of a run, and its faults apart from those of the workers."""

    rate: Rate = field(default_factory=Rate)
    probe_size: int = 50
    network: Network = field(default_factory=Network)
    highlevel_faults: HighLevelFaults = field(default_factory=HighLevelFaults)
    kafka_faults: Faults = field(default_factory=Faults)
    steps: tuple[ClockStep, ...] = ()
    skew_ms: int = 0  # each worker's clock is off by up to so much
    page_limit: int = whole_pages  # contacts per response: small worlds have several pages, too
    rest_ms: int = 0  # what it needs beyond the usual, until all is done


@dataclass
class Run:
    workload: Workload
    world: World
    kills: Sequence[Kill]
    loop: VirtualLoop
    kafka: Kafka
    server: Server
    trace: Trace
    workers: list[Worker] = field(default_factory=list)
    offsets: dict[tuple[str, int, int], int] = field(default_factory=dict)  # topic, partition, offset → publication
    unpublished: list[int] = field(default_factory=list)  # publications that Kafka has not taken yet
    faults: Sequence[GroupFault] = ()
    group: Group | None = None
    crashed: list[str] = field(default_factory=list)
    control: "Run | None" = None  # the same world without its failing location, to compare with

    @cached_property
    def clocks(self) -> Mapping[str, SkewedClock]:
        """Return the clocks by worker."""
        return {worker.name: worker.clock for worker in self.workers}

    @cached_property
    def history(self) -> History:
        """Return the run as checkers see it. Call it once the run is over."""
        unknown_commits = self.world.kafka_faults.unknown_outcome > 0
        slow = any(kill.pause_ms >= long_pause_ms or kill.how == "drains" for kill in self.kills)
        return History(
            self.workload,
            {place: self._committed(*place) for place in self.kafka.logs},
            {place: self.workload.publications[index] for place, index in self.offsets.items()},
            [CallArrival(one.at, one.location, one.what, one.status) for one in self.server.arrivals],
            [self._sent(one) for one in self.server.sent],
            self.world.rate,
            self.world.highlevel_faults,
            kills=bool(self.kills),
            rebalances=bool(self.faults),
            unknown_commits=unknown_commits,
            owner_gaps=bool(self.faults) or slow or len(self.kills) > 3 or unknown_commits,
            skew_ms=self.world.skew_ms,
            end_ms=self.loop.ms,
        )

    def events(self, topic: str) -> list[CommittedEvent]:
        return self.history.events(topic)

    def digest(self) -> str:
        """Return a digest of all topics, byte for byte, and all arrivals at HighLevel."""
        hashed = hashlib.sha256()
        for place, log in sorted(self.kafka.logs.items()):
            for entry in log:
                state = entry.transaction.state if entry.transaction else ""
                row = place, entry.key, entry.value, entry.headers, entry.timestamp_ms, state, entry.marker
                hashed.update(repr(row).encode())
        hashed.update(repr(self.server.arrivals).encode())
        return hashed.hexdigest()

    def _committed(self, topic: str, partition: int) -> list[CommittedRecord]:
        return [
            CommittedRecord(
                topic,
                partition,
                offset,
                entry.key,
                entry.value,
                entry.headers,
                entry.timestamp_ms,
                entry.transaction.ended if entry.transaction else entry.timestamp_ms,
            )
            for offset, entry in self.kafka.committed(topic, partition)
        ]

    def _sent(self, one: Sent) -> SentCall:
        return SentCall(
            one.at,
            one.taken,
            one.location,
            one.slot,
            self.clocks[one.worker].true(one.granted),
            one.granted,
            one.worker,
            one.kind,
            one.asks,
            one.until,
            one.outcome,
            one.page,
            one.contact,
            one.arrived,
        )
