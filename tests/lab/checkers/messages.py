"""Check messages: each once for a lead, none of another contact, none missing, and as many as results and jobs report."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

from tests.lab.history import CommittedEvent, Data, History, LeadKey
from tests.lab.workload.lead import WorkloadLead
from tests.lab.workload.times import parse_ms, start_ms

from .job_history import job_histories

complete_states: Final = ("imported", "none")  # a result says that the lead has all its messages
gives_up_ms: Final = 60_000  # eight attempts of one export take longer


def each_message_once(history: History) -> Iterator[str]:
    for lead, mine in history.messages_by_lead.items():
        for name, count in Counter(map(message_id, mine)).items():
            if count > 1:
                yield f"{lead[1]}: {name} was published {count} times"


def no_foreign_messages(history: History) -> Iterator[str]:
    """A lead gets only requested messages of contacts that it may be linked to, unchanged."""
    with_messages = [job for job in job_histories(history) if job.wants_messages]
    messages = {message.id: message for message in history.workload.messages}
    for key, mine in history.messages_by_lead.items():
        lead = history.workload.lead_by_id[key]
        if not lead.truth.wants_messages and not any(job.covers(lead, history) for job in with_messages):
            yield f"{lead.id}: no request asked for its messages"
        for one in mine:
            message = messages.get(message_id(one))
            if message is None or (message.location, message.contact) != (key[0], one.data["contact_id"]):
                yield f"{lead.id}: HighLevel has no such message {message_id(one)}"
            elif (one.data["message"]["body"], parse_ms(one.data["message"]["sent_at"])) != (
                message.text,
                message.sent,
            ):
                yield f"{lead.id}: {message.id} was published with other data"
            elif message.contact not in lead.truth.contacts:
                yield f"{lead.id}: {message.id} is of {message.contact}"
            elif one.committed_ms < start_ms + message.appears:
                yield f"{lead.id}: {message.id} was published before it existed"


def none_missing(history: History) -> Iterator[str]:
    """A result or a completed job with messages has all of them that existed before the export began."""
    for key, mine in history.results_by_lead.items():
        before = 0
        for result in mine:
            contact = result.data["contact_id"]
            if result.data["messages"] in complete_states and contact:
                began = export_began(history, key, contact, before, result.committed_ms)
                yield from missing_messages(history, key, contact, began, result.committed_ms)
                before = result.committed_ms
    for job in job_histories(history):
        if (end := job.completed) is None or not job.wants_messages:
            continue
        for lead in job.leads(history):
            if (contact := certain_contact(lead)) and lead.truth.known < job.job.at and not may_fail(history, lead):
                began = start_ms + job.job.at
                yield from missing_messages(history, (lead.location, lead.id), contact, began, end.committed_ms)


def missing_messages(history: History, lead: LeadKey, contact: str, began: int, at: int) -> Iterator[str]:
    """Report messages that an export from `began` on had to show, and that were not published by `at`."""
    mine = history.messages_by_lead.get(lead, ())
    there = {message_id(one) for one in mine if one.committed_ms <= at}
    for message in history.workload.messages_by_contact.get((lead[0], contact), ()):
        if start_ms + message.appears < began and message.id not in there:
            yield f"{lead[1]}: {message.id} was there at {began}, and was not published by {at}"


def export_began(history: History, lead: LeadKey, contact: str, after: int, until: int) -> int:
    """Return when the first call may have arrived that brought messages for this result.

    It was later than the last result, which may have been decided a little before it was committed. Where calls aren't
    known, only the messages that were there from the start are certain.
    """
    if not history.calls:
        return start_ms + 1
    here = [one for one in history.calls_by_location.get(lead[0], ()) if one.kind == "messages" and one.arrived]
    mine = [one for one in here if one.contact in (None, contact)]
    return min((one.arrived or 0 for one in mine if one.until is None or after < one.until <= until), default=0)


def certain_contact(lead: WorkloadLead) -> str | None:
    """Return the one contact that a job must find for the lead, or None where that depends on the moment."""
    truth = lead.truth
    plain = truth.findable is None and truth.deleted is None and truth.job and truth.job <= {"updated", "unchanged"}
    single = len(truth.revisions) == 1 and len(truth.contacts) == 1 and truth.replaces is None
    return next(iter(truth.contacts)) if plain and single and truth.vanishes is None else None


def may_fail(history: History, lead: WorkloadLead) -> bool:
    """True if its messages couldn't be fetched for long, or its token's scope lacks them."""
    faults = history.faults
    long = any(one.lasts_ms >= gives_up_ms for one in faults.outages_of(lead.location))
    refused = faults.refusals_of(lead.location) or lead.location in faults.cursors_refused
    return long or bool(refused) or bool(lead.poison)


def message_counts(history: History) -> Iterator[str]:
    """`messages_imported` of results and jobs matches the published messages."""
    published, results = history.messages_by_lead, history.results_by_lead
    for key in {*published, *results}:
        lead = history.workload.lead_by_id[key]
        mine = [one.data for one in results.get(key, ())]
        yield from (
            f"{lead.id}: {flaw}" for flaw in miscounted_messages(history, lead, mine, len(published.get(key, ())))
        )
    exact = {lead.location for lead in history.workload.leads} - locations_asked_twice(history)
    for job in job_histories(history):
        if (end := job.completed) is None or not job.wants_messages:
            continue
        location, by = job.job.location, end.committed_ms
        count = sum(one.committed_ms <= by for key, many in published.items() if key[0] == location for one in many)
        reported = end.data["messages_imported"]
        if location and (reported > count or (location in exact and reported != count)):
            yield f"{job.name}: it reports {reported} messages, {count} were published"


def miscounted_messages(history: History, lead: WorkloadLead, results: Sequence[Data], count: int) -> Iterator[str]:
    """Compare results with the `count` messages that were published; jobs count those that no result names."""
    reported = sum(one["messages_imported"] for one in results)
    failed = any(one["messages"] == "failed" for one in results)
    in_job = any(job.covers(lead.location) for job in history.workload.jobs)
    exact = not in_job and not changes_meanwhile(lead) and not failed
    if reported > count or (exact and reported != count):
        yield f"results report {reported} messages, {count} were published"
    for one in results:
        some = one["messages"] == "failed" or (one["messages"] == "imported") == (one["messages_imported"] > 0)
        if not some and not changes_meanwhile(lead):
            yield f"messages are {one['messages']}, {one['messages_imported']} of them"


def locations_asked_twice(history: History) -> set[str]:
    """Return locations where several jobs or Syncs import messages, or where a lead's work may be dropped."""
    jobs = Counter(job.location for job in history.workload.jobs)
    return {
        lead.location
        for lead in history.workload.leads
        if lead.truth.requests or lead.truth.deleted is not None or jobs[lead.location] + jobs[None] > 1
    }


def changes_meanwhile(lead: WorkloadLead) -> bool:
    """True if its work may be dropped, or begin again with another contact, while messages come in."""
    return lead.truth.deleted is not None or len(lead.truth.revisions) > 1 or lead.truth.replaces is not None


def message_id(event: CommittedEvent) -> str:
    return str(event.data["message"]["id"])
