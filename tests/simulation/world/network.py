"""The network between the workers and HighLevel: how long its ways take, and the calls that were sent and that arrived."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Network:
    """Each way takes from … to … ms."""

    connect: tuple[int, int] = (0, 3)
    out: tuple[int, int] = (5, 60)
    back: tuple[int, int] = (5, 60)
    stalls: float = 0.0  # share of connections that take 1 to 4 s


@dataclass(frozen=True, slots=True)
class Arrival:
    """A request in the server's own log, and the slot that paid for it."""

    at: int  # ms since 1970
    location: str
    what: str
    slot: int
    worker: str
    status: int


@dataclass(slots=True)
class Sent:
    """A call as the port saw it, just before its request went on the wire."""

    at: int
    taken: int  # when the port was given it
    location: str
    slot: int
    granted: int  # by the worker's clock
    send_by: int  # likewise
    worker: str
    kind: str  # search | contact | messages
    asks: frozenset[str]  # leads, and what is asked for them
    until: int | None = None  # when its response came, or it was given up; None: its worker died before
    outcome: str = ""  # the name of the response's class
    page: tuple[str, bool] | None = None  # of a scan or an export: its job, and whether it is the catch-up pass
    contact: str | None = None  # the contact of the messages that it asks for; None: all contacts
    arrived: int | None = None  # when, at the server
    retry_after_ms: int = 10_000  # by its 429
