"""Upstream that delivers at least once, and not always at once: records that come late, and others that come twice, maybe
after what was said later."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from random import Random
from typing import Final

from .tale import Publication
from .world import Scenario

late_at_most_ms: Final = 4_000  # less than an unknown lead is waited for
again_ms: Final = (0, 30, 700, 5_000, 20_000)


def redelivered(scenario: Scenario, late: float, twice: float) -> Scenario:
    """These shares of what upstream says come late, or twice. Its time stays when it was said."""
    random = Random(f"{scenario.seed} upstream")
    for tale in scenario.tales:
        tale.publications = [*carried(random, tale.publications, late, twice)]
        tale.truth.known += max((one.late_ms for one in tale.publications), default=0)
    return scenario


def carried(random: Random, said: Sequence[Publication], late: float, twice: float) -> Iterator[Publication]:
    """What someone asks about isn't held up until he has asked: it could be taken for unknown."""
    asked = min((one.at for one in said if one.topic == "sync.requests"), default=-1)
    for one in said:
        if one.at >= asked and random.random() < late:
            ms, timestamp = random.randint(1, late_at_most_ms), one.at if one.timestamp is None else one.timestamp
            one = replace(one, at=one.at + ms, late_ms=ms, timestamp=timestamp)
        yield one
        if random.random() < twice and one.transaction != "aborted":
            timestamp = one.at if one.timestamp is None else one.timestamp
            yield replace(one, at=one.at + random.choice(again_ms), repeats=True, timestamp=timestamp)
