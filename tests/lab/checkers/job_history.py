"""The progress events of each job, and the results that name it."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from processor.topics import home
from tests.lab.history import CommittedEvent, History, SentCall
from tests.lab.workload.lead import WorkloadLead
from tests.lab.workload.publication import JobRequest
from tests.lab.workload.times import parse_ms

job_ends: Final = ("sync.completed", "sync.failed", "sync.cancelled")


@dataclass
class JobHistory:
    """The events of a Sync All, or of the part of a backfill that one partition does."""

    job: JobRequest
    partition: int
    events: list[CommittedEvent] = field(default_factory=list)

    @property
    def name(self) -> str:
        return f"{self.job.request} of {self.job.location or f'partition {self.partition}'}"

    @property
    def end(self) -> CommittedEvent | None:
        return next((one for one in self.events if one.kind in job_ends), None)

    @property
    def completed(self) -> CommittedEvent | None:
        return self.end if self.end is not None and self.end.kind == "sync.completed" else None

    @property
    def started(self) -> CommittedEvent | None:
        return next((one for one in self.events if one.kind == "sync.started"), None)

    @property
    def wants_messages(self) -> bool:
        """True if the job imports messages; a backfill does so only if it says so."""
        asked = self.job.location is not None if self.job.messages is None else self.job.messages
        return asked and not self.job.dry_run

    def covers(self, lead: WorkloadLead, history: History) -> bool:
        here = home(lead.location, history.workload.partitions) == self.partition
        return here and self.job.covers(lead.location)

    def leads(self, history: History) -> Iterator[WorkloadLead]:
        return (lead for lead in history.workload.leads if self.covers(lead, history))

    def results(self, history: History) -> list[CommittedEvent]:
        """Return the results that name the job, in the order of the log."""
        here = (one for one in history.results if one.partition == self.partition)
        return [one for one in here if any(cause.get("request_id") == self.job.request for cause in one.data["causes"])]

    def pages(self, history: History) -> list[SentCall]:
        """Return the calls that ask for pages of this job."""
        return [one for one in history.calls if one.page and one.page[0] == self.job.request]


def turn_ms(event: CommittedEvent) -> int:
    """Return the time of the turn that published the event, by its worker's clock."""
    return parse_ms(event.time) or 0


def job_events(history: History) -> Iterator[CommittedEvent]:
    return (event for event in history.events("sync.progress") if "leads_total" in event.data)


def job_histories(history: History) -> list[JobHistory]:
    """Return one for each job that upstream requested; for a backfill one per partition."""
    return list(jobs_by_place(history).values())


def jobs_by_place(history: History) -> dict[tuple[str, str | int], JobHistory]:
    """Return the jobs by request and location, or partition. `ends_once` finds events of unknown jobs."""
    found: dict[tuple[str, str | int], JobHistory] = {}
    for job in history.workload.jobs:
        if job.location:
            where = home(job.location, history.workload.partitions)
            found[job.request, job.location] = JobHistory(job, where)
        else:
            found |= {(job.request, where): JobHistory(job, where) for where in history.workload.owned}
    for event in job_events(history):
        place = event.data["request_id"], event.data["location_id"] or event.partition
        if (mine := found.get(place)) is not None and mine.partition == event.partition:
            mine.events.append(event)
    return found
