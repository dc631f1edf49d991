"""Follow what comes out of Hydrant while the demo runs, and know what is still to come."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from processor.events.cloudevents import Record
from tests.lab.workload.publication import Publication
from tests.lab.workload.workload import Workload

job_ends: Final = ("sync.completed", "sync.failed", "sync.cancelled")
waiting_kinds: Final = ("synced_unknown", "synced_before_it_came")
Awaited = tuple[str, str]  # what, and of which lead or request


@dataclass
class Progress:
    """Count output records and tick off what the ground truth makes due. Times are monotonic, s."""

    workload: Workload
    since: float
    phase: str = ""
    published: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)  # of results
    messages: int = 0
    dead_letters: int = 0
    synced_at: dict[str, float] = field(default_factory=dict)  # request id → when the Sync was published
    answered_at: dict[str, float] = field(default_factory=dict)
    busy: set[str] = field(default_factory=set)  # locations whose last status has work, or isn't ok
    job_at: float | None = None  # when the Sync All was published
    job_ended_at: float | None = None
    job: Mapping[str, Any] = field(default_factory=dict)  # the data of its last event,
    job_state: str = ""  # and that event's type without `sync.`
    report: Mapping[str, Any] = field(default_factory=dict)  # the last one of HighLevel
    killed: str = ""  # the worker that was killed on purpose
    killed_at: float | None = None
    replaced_at: float | None = None  # when all partitions were shared again

    def __post_init__(self) -> None:
        self.awaited = awaited(self.workload)
        self._young = {lead.id for lead in self.workload.leads if lead.kind.startswith("young")}
        self._timed = {  # Syncs that needn't wait for their lead
            request for lead in self.workload.leads if lead.kind not in waiting_kinds for request in lead.truth.requests
        }
        self.leads_due = len(self.leads_left)
        self.to_publish = sum(one.transaction != "aborted" for one in self.workload.publications)
        self.syncs_due = sum(len(lead.truth.requests) for lead in self.workload.leads)
        self.dead_letters_due = sum(one.dead_letter is not None for one in self.workload.publications)

    @property
    def leads_left(self) -> set[Awaited]:
        return {one for one in self.awaited if one[0] == "lead"}

    @property
    def left(self) -> int:
        return len(self.awaited) + max(0, self.dead_letters_due - self.dead_letters)

    @property
    def left_is_young(self) -> bool:
        """True if only leads are left that are looked up again after a minute."""
        return bool(self.awaited) and all(name in self._young for _, name in self.awaited)

    @property
    def job_s(self) -> float | None:
        """Return the time from the request of the Sync All to its end."""
        return self.job_ended_at - self.job_at if self.job_ended_at and self.job_at else None

    @property
    def job_disturbed(self) -> bool:
        """True if a worker was dead at some moment of the Sync All, perhaps the other one."""
        return self.job_at is not None and self.was_disturbed(self.job_at, self.job_ended_at or float("inf"))

    def was_disturbed(self, begin: float, end: float) -> bool:
        return self.killed_at is not None and begin <= (self.replaced_at or end) and self.killed_at <= end

    def latencies_ms(self, disturbed: bool) -> list[float]:
        """Return the times from Sync to answer, ascending: of Syncs that met a dead worker, or of the others."""
        spans = [
            (begin, self.answered_at[request])
            for request, begin in self.synced_at.items()
            if request in self._timed and request in self.answered_at
        ]
        return sorted((end - begin) * 1_000 for begin, end in spans if self.was_disturbed(begin, end) == disturbed)

    def add_publication(self, publication: Publication, now: float) -> None:
        """Count a published record, and note when a Sync or the Sync All was published first."""
        self.published += 1
        if publication.topic == "sync.requests" and publication.event:
            body = orjson.loads(publication.value or b"null")
            request = body.get("data", body)["request_id"]
            if any(job.request == request for job in self.workload.jobs):
                self.job_at = self.job_at or now
            else:
                self.synced_at.setdefault(request, now)

    def add(self, record: Record, now: float) -> None:
        """Take a record of an output topic."""
        if record.topic == "dead.letters":
            self.dead_letters += 1
            return
        event = orjson.loads(record.value or b"null")
        kind, data = event["type"], event["data"]
        if kind == "lead.synced":
            self._add_result(data)
        elif kind == "lead.message.imported":
            self.messages += 1
        elif kind == "sync.answered":
            self.answered_at.setdefault(data["request_id"], now)
            self.awaited.discard(("answer", data["request_id"]))
        elif kind == "location.status":
            (self.busy.add if data["queued"] or data["state"] != "ok" else self.busy.discard)(data["location_id"])
        elif kind.startswith("sync."):
            self.job, self.job_state = data, kind.removeprefix("sync.")
            if kind in job_ends:
                self.job_ended_at = self.job_ended_at or now
                self.awaited.discard(("job", data["request_id"]))

    def _add_result(self, data: Mapping[str, Any]) -> None:
        self.outcomes[data["outcome"]] += 1
        lead = self.workload.lead_by_id.get((data["location_id"], data["lead_id"]))
        if lead and data["revision"] == lead.truth.revision and data["outcome"] in lead.truth.last:
            self.awaited.discard(("lead", lead.id))


def awaited(workload: Workload) -> set[Awaited]:
    """Return what must come: the last result of each lead that must have one, each answer, and the end of each job."""
    leads = {("lead", lead.id) for lead in workload.leads if None not in lead.truth.last}
    answers = {("answer", request) for lead in workload.leads for request in lead.truth.requests}
    return leads | answers | {("job", job.request) for job in workload.jobs}
