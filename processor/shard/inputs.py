"""The inputs of a turn, and what ingesting them brings up."""

from dataclasses import dataclass

from processor.events.cloudevents import Event, Malformed
from processor.highlevel.responses import Response
from processor.shard.documents.lead import Lead
from processor.shard.documents.sync_request import SyncRequest


@dataclass(frozen=True, slots=True)
class InputPosition:
    """The consumer's position on an input topic: everything before it has been handed over."""

    topic: str
    offset: int


@dataclass(frozen=True, slots=True)
class CurrentToken:
    """The token that speaks for a paused location now, by its fingerprint; None: there is none."""

    location: str
    fingerprint: str | None


Input = Event | Malformed | Response | InputPosition | CurrentToken


@dataclass(frozen=True, slots=True)
class OverdueSync:
    """A Sync that is past its deadline, or that came too late for its lead."""

    lead: Lead
    request: SyncRequest
    on_arrival: bool


@dataclass(frozen=True, slots=True)
class Unserved:
    """A request that was dead-lettered, and is answered all the same."""

    malformed: Malformed


Touched = Lead | OverdueSync | Unserved
