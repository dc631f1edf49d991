"""An upstream that delivers at least once, and sometimes late or in another order."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from random import Random
from typing import Final

from .publication import Publication
from .workload import Workload

published_late_at_most_ms: Final = 4_000  # Hydrant waits longer for an unknown lead
redelivered_after_ms: Final = (0, 30, 700, 5_000, 20_000)


def redelivered(workload: Workload, late: float, twice: float) -> Workload:
    """Publish these shares of the leads' records late, or twice. Their timestamps stay."""
    random = Random(f"{workload.seed} upstream")
    for lead in workload.leads:
        lead.publications = [*delivered(random, lead.publications, late, twice)]
        lead.truth.known += max((one.late_ms for one in lead.publications), default=0)
    return workload


def delivered(random: Random, publications: Sequence[Publication], late: float, twice: float) -> Iterator[Publication]:
    """A change before the first Sync is never late: the lead could be taken for unknown."""
    synced = min((one.at for one in publications if one.topic == "sync.requests"), default=-1)
    for one in publications:
        if one.at >= synced and random.random() < late:
            ms, timestamp = (
                random.randint(1, published_late_at_most_ms),
                one.at if one.timestamp is None else one.timestamp,
            )
            one = replace(one, at=one.at + ms, late_ms=ms, timestamp=timestamp)
        yield one
        if random.random() < twice and one.transaction != "aborted":
            timestamp = one.at if one.timestamp is None else one.timestamp
            yield replace(one, at=one.at + random.choice(redelivered_after_ms), redelivery=True, timestamp=timestamp)
