"""Draws of HighLevel's faults: outages and refused tokens."""

from collections.abc import Sequence
from random import Random
from typing import Final

from tests.lab.faults import Outage, OutageKind, Refusal, RefusalKind

refusal_kinds: Final[tuple[RefusalKind, ...]] = ("expired", "scope", "revoked", "location")
outage_kinds: Final[tuple[OutageKind, ...]] = ("5xx", "lost", "403", "hang", "hang", "reset", "reset", "429", "429")


def draw_long_outage(random: Random, locations: Sequence[str]) -> Outage:
    lasts = random.choice([5_000, 30_000, 90_000, 300_000]) + random.randint(0, 900)
    where = random.choice([None, *locations])
    return Outage(random.randint(0, 60_000), lasts, where, random.choice(["5xx", "5xx", "lost", "403"]))


def draw_any_outage(random: Random, locations: Sequence[str]) -> Outage:
    lasts = random.choice([2_000, 15_000, 60_000]) + random.randint(0, 900)
    return Outage(random.randint(0, 40_000), lasts, random.choice([None, *locations]), random.choice(outage_kinds))


def draw_refusal(random: Random, location: str) -> Refusal:
    """Draw a refusal that ends with a new token, or with the old one accepted again."""
    at, how = random.randint(0, 60_000), random.choice(refusal_kinds)
    over = at + random.choice([500, 20_000, 100_000, 400_000])
    if how in ("scope", "location") and random.random() < 0.3:
        return Refusal(location, at, how, cured=over)
    return Refusal(location, at, how, renewed=over)
