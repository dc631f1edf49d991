"""The network between the workers and HighLevel: how long its ways take, and how often connecting takes too long."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Network:
    """Each way takes from … to … ms."""

    connect: tuple[int, int] = (0, 3)
    out: tuple[int, int] = (5, 60)
    back: tuple[int, int] = (5, 60)
    stalls: float = 0.0  # share of connections that take 1 to 4 s
