"""The settings that a shard is made with. None of them changes while it lives."""

from dataclasses import dataclass, field

from processor.ratelimit.budget import Rate


@dataclass(frozen=True, slots=True)
class Setup:
    partition: int
    partitions: int
    worker: str  # names this worker's clock, too: times by another one are taken with care
    prefix: str = ""  # of topic names, for dead letters
    rate: Rate = field(default_factory=Rate)
    probe_size: int = 50  # values in one search; 1: one search a lead
    job_concurrency: int = 15  # probes and GETs of one job in flight
    fetch_fields: frozenset[str] = frozenset({"first_name", "last_name"})  # gaps that alone justify a GET
