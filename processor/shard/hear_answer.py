"""An answer of HighLevel's goes into the documents: the ledger, the location's standing, the leads that were asked about."""

from collections.abc import Iterable, Iterator
from typing import Final

from processor.highlevel import responses as outcome
from processor.highlevel.contact import Contact, digits
from processor.highlevel.requests import Call, ExportMessages, ListContacts
from processor.highlevel.responses import Response
from processor.ratelimit.budget import window_ms
from processor.ratelimit.jitter import jittered
from processor.shard.export import hear_export
from processor.shard.export import refused as export_refused
from processor.shard.job import Job, active
from processor.shard.lead import Dead, Lead, Open, Question
from processor.shard.ledger import Ledger
from processor.shard.location import Location, Pause
from processor.shard.messages import take_in
from processor.shard.notes import Note
from processor.shard.resolve import Evidence, fold
from processor.shard.scan import answered as ors_answered
from processor.shard.scan import hear_page
from processor.shard.settle import finish, learn
from processor.shard.setup import Setup
from processor.shard.state import Changes
from processor.shard.sync_all import end

attempts_at_most: Final = 8
questions: Final = {"contact": "get", "messages": "export"}  # by the kind of call; a search's are many
retry_first_ms: Final = 1_000
retry_at_most_ms: Final = 60_000
not_linked_again_ms: Final = 600_000  # DESIGN §7: a contact that is gone isn't linked again for so long


def hear_answer(changes: Changes, setup: Setup, answer: Response, now: int) -> Iterable[Lead]:
    call, said, permit = answer.call, answer.outcome, answer.call.permit
    if answer.ingested:
        hear_page_of_job(changes, setup, answer, now)
        return ()
    location, budget = Location.of(changes, permit.location), Ledger.of(changes, setup, permit.location, now).budget
    of_job = isinstance(call.request, ListContacts) or (
        isinstance(call.request, ExportMessages) and call.request.job is not None
    )
    if not of_job:
        changes.landed(location.id, permit.slot)
    changes.busy[location.id] = None
    if not budget.complete(permit.slot, now, responded=answer.status is not None):
        return ()  # heard before, by a turn of which nobody knew whether it had committed
    note(changes, answer, now)
    if answer.headers and budget.observe_headers(permit.slot, answer.headers, now):
        tight = {"location": location.id, "ceiling": budget.external_cap, "until": budget.external_cap_until}
        changes.notes.append(Note("tightened", tight))
    probing, counted = location.breaker.is_probe(permit.granted), not location.breaker.open
    if isinstance(said, outcome.Lost | outcome.Unavailable) or said == outcome.Unsent("connect"):
        location.failed(permit.granted, permit.slot, now)
    elif not isinstance(said, outcome.Unsent):
        location.breaker.close()
    match said:
        case outcome.Unsent():
            changes.landed(location.id, permit.slot)
            return ()
        case outcome.Throttled(retry_after_ms):
            wait = jittered(retry_after_ms or window_ms, location.key, permit.slot)
            budget.freeze(now + wait)
            throttled = {"location": location.id, "retry_after_ms": retry_after_ms, "until": now + wait}
            changes.notes.append(Note("throttled", throttled))
            changes.landed(location.id, permit.slot)
            return ()
        case outcome.Unauthorized("scope") if call.kind == "messages":
            location.no_messages_since = now
        case outcome.Unauthorized(why):
            location.pause = Pause(why, permit.granted, answer.token)
            changes.landed(location.id, permit.slot)
            return ()
        case outcome.Found() | outcome.Page() | outcome.Exported() | outcome.Gone() | outcome.Refused():
            if location.pause and permit.granted >= location.pause.tried:
                location.pause = None  # the trial succeeded
    if of_job:
        hear_page_of_job(changes, setup, answer, now, counted)
        return ()
    asked = list(still_asked(changes, call))
    if asked:
        work = asked[0][1]
        work.calls[call.kind.value] = work.calls.get(call.kind.value, 0) + 1
    for _, work in asked:
        work.looked |= call.kind != "messages"
        work.permit_ms += max(0, call.permit.granted - max(work.due, work.heard))
        work.network_ms += max(0, now - call.permit.granted)
    width = len({asked.question.value for asked in call.questions})
    if width > 1 and isinstance(said, outcome.Found | outcome.Refused) and (job := active(changes, location.id)):
        ors_answered(job, isinstance(said, outcome.Refused), now)
    match said:
        case outcome.Found(contacts, total) if total > len(contacts) and width > 1:
            narrow(asked, width)
        case outcome.Found(contacts):
            found(asked, call, contacts, now)
        case outcome.Exported(messages, _, cursor):
            for lead, work in asked:
                if take_in(changes, lead, work, call.questions[0].question.value, messages, now):
                    work.attempts = 0
                work.cursor = None if cursor == work.cursor else cursor
                if work.cursor is None:
                    work.messages = "imported" if work.imported else "none"
        case outcome.Unauthorized():
            for _, work in asked:
                work.messages = "failed"
        case outcome.Gone():
            gone(asked, call, now)
        case outcome.Refused(why="internal_error"):  # hearing this very answer raised
            for lead, _ in asked:
                finish(changes, lead, "failed", "internal_error", now)
        case outcome.Refused() if call.kind == "messages":
            for _, work in asked:
                work.attempts += 1
                if work.cursor is None or work.attempts >= attempts_at_most:
                    work.messages = "failed"
                work.cursor = None  # it has expired: again from the last message
        case outcome.Refused() if width > 1:
            narrow(asked, width)
        case outcome.Refused():
            for lead, _ in asked:
                finish(changes, lead, "failed", "refused", now)
        case _ if counted:
            for lead, work in asked:
                retry(changes, lead, work, width, isinstance(said, outcome.Unavailable), now)
        case _ if probing:
            for _, work in asked:
                work.due = location.breaker.probe_at + 1  # the next probe comes from another piece of work
    return [lead for lead, _ in asked]


def hear_page_of_job(changes: Changes, setup: Setup, answer: Response, now: int, counted: bool = True) -> None:
    """A page of contacts or messages, or what became of it."""
    asked, said, slot = answer.call.request, answer.outcome, answer.call.permit.slot
    left = None
    if isinstance(asked, ListContacts) and isinstance(said, outcome.Page):
        left = hear_page(changes, setup, asked, answer, said, now)
    elif isinstance(asked, ExportMessages) and isinstance(said, outcome.Exported):
        left = hear_export(changes, asked, answer, said, now)
    elif isinstance(asked, ListContacts | ExportMessages):
        page_failed(changes, setup, asked, answer, now, counted)
    if left is None:
        changes.landed(answer.call.permit.location, slot)  # only now may the next page be asked for
    else:
        changes.again.append(left)


def page_failed(
    changes: Changes, setup: Setup, asked: ListContacts | ExportMessages, answer: Response, now: int, counted: bool
) -> None:
    """A job fails only when HighLevel refuses a page of contacts itself."""
    said = answer.outcome
    job = Job.of(changes, asked.location, asked.job or "")
    if job is None or not job.wants_page or job.page != asked.page:
        return
    if isinstance(asked, ExportMessages) and isinstance(said, outcome.Refused | outcome.Unauthorized):
        export_refused(changes, asked, now, scope=isinstance(said, outcome.Unauthorized))
    elif isinstance(said, outcome.Refused):
        end(changes, setup, job, "sync.failed", now, "internal_error" if said.why == "internal_error" else "refused")
    elif counted:
        job.attempts += 1
        delay = min(retry_first_ms << min(job.attempts - 1, 16), retry_at_most_ms)
        job.due = now + jittered(delay, job.key, answer.call.permit.slot)


def still_asked(changes: Changes, call: Call) -> Iterator[tuple[Lead, Open]]:
    """The leads whose question this still is: an answer to an old one is not applied."""
    for ask in call.questions:
        lead = Lead.of(changes, call.permit.location, ask.lead)
        if lead.open and lead.open.question == Question(
            questions.get(call.kind, ask.question.kind), ask.question.value
        ):
            yield lead, lead.open


def found(asked: Iterable[tuple[Lead, Open]], call: Call, contacts: Iterable[Contact], now: int) -> None:
    """Each lead folds the hits that are its own; `settle` decides."""
    index: dict[tuple[str, str], list[Contact]] = {}
    for contact in contacts:
        emails = [("email", email) for email in (contact.email, *contact.other_emails) if email]
        phones = [("phone", digits(phone)) for phone in (contact.phone, *contact.other_phones) if phone]
        for name in dict.fromkeys([("id", contact.id), *emails, *phones]):
            index.setdefault(name, []).append(contact)
    for lead, work in asked:
        by, value = work.question or ("", "")
        if by in ("id", "get"):
            work.searched = value
            for contact in index.get(("id", value), ()):
                learn(lead, work, contact)
            continue
        evidence = Evidence()
        for contact in index.get((by, digits(value) if by == "phone" else value), ()):
            if not (lead.dead and lead.dead.contact_id == contact.id and now < lead.dead.until):
                evidence = fold(evidence, contact, by, value, lead.known("phone"))
        work.evidence = evidence


def gone(asked: Iterable[tuple[Lead, Open]], call: Call, now: int) -> None:
    """The linked contact doesn't exist any more: the link is cleared, and the lead resolved again."""
    for lead, work in asked:
        contact_id = work.question.value if work.question else ""
        lead.dead = Dead(contact_id, now + not_linked_again_ms)
        lead.learned, lead.memory, lead.fetched = {}, None, None
        lead.resolved_by = lead.hydrated_from = None
        work.start_over()


def narrow(asked: Iterable[tuple[Lead, Open]], width: int) -> None:
    """The search was too wide: its leads share the next one with half as many values."""
    for _, work in asked:
        work.width = max(1, width // 2)


def retry(changes: Changes, lead: Lead, work: Open, width: int, unavailable: bool, now: int) -> None:
    """Growing, jittered delays; a search that fails twice may hold one poisoned value, so it is halved."""
    work.attempts += 1
    if work.attempts >= attempts_at_most and work.question and work.question.by == "export":
        work.messages = "failed"
        return
    if work.attempts >= attempts_at_most:
        finish(changes, lead, "failed", "unavailable", now)
        return
    if unavailable and work.attempts > 1:
        narrow([(lead, work)], width)
    delay = min(retry_first_ms << work.attempts - 1, retry_at_most_ms)
    work.due = now + jittered(delay, lead.key, work.attempts)


def note(changes: Changes, answer: Response, now: int) -> None:
    said = answer.outcome
    fields = {
        "location": answer.call.permit.location,
        "kind": answer.call.kind.value,
        "outcome": type(said).__name__.lower(),
        "status": answer.status,
        "trace_id": answer.trace_id,
        "network_ms": max(0, now - answer.call.permit.granted),
        "contacts": len(said.contacts) if isinstance(said, outcome.Found | outcome.Page) else 0,
        "messages": len(said.messages) if isinstance(said, outcome.Exported) else 0,
    }
    changes.notes.append(Note("answered", fields))
