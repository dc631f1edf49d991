"""Registers of the kinds of leads. A kind is a function that publishes one lead and sets its ground truth."""

from collections.abc import Callable
from typing import Final

from .lead import WorkloadLead

Kind = Callable[[WorkloadLead], None]

lead_kinds: Final[dict[str, Kind]] = {}  # events give them work; in order of definition, by which seeds draw them
waiting_kinds: Final[dict[str, Kind]] = {}  # only a job gives them an outcome
rare_kinds: Final[dict[str, Kind]] = {}  # never drawn by chance
job_outcomes: Final[dict[str, frozenset[str]]] = {}  # of those lead kinds that may meet a job


def lead_kind(*in_job: str) -> Callable[[Kind], Kind]:
    """Register a kind, with the outcomes that a job may give it; without any, no job has such leads."""

    def register(kind: Kind) -> Kind:
        lead_kinds[kind.__name__] = kind
        if in_job:
            job_outcomes[kind.__name__] = frozenset(in_job)
        return kind

    return register


def waiting_kind(kind: Kind) -> Kind:
    waiting_kinds[kind.__name__] = kind
    return kind


def rare_kind(kind: Kind) -> Kind:
    rare_kinds[kind.__name__] = kind
    return kind
