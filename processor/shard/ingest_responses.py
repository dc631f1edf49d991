"""A response of HighLevel's goes into the documents: the ledger, the location, the leads that asked."""

from collections.abc import Iterable, Iterator
from typing import Final

from processor.highlevel.contact import Contact, digits
from processor.highlevel.requests import Call, CallKind, ExportMessages, ListContacts, Question, QuestionKind
from processor.highlevel.responses import (
    Exported,
    Found,
    Gone,
    Lost,
    Page,
    Refused,
    Response,
    Throttled,
    Unauthorized,
    Unavailable,
    Unsent,
)
from processor.ratelimit.budget import Budget, window_ms
from processor.ratelimit.jitter import jittered
from processor.shard.documents.lead import GoneContact, Lead
from processor.shard.documents.ledger import Ledger
from processor.shard.documents.location import Location, Pause
from processor.shard.documents.work import Failure, LeadWork, MessagesOutcome
from processor.shard.jobs.counting import active_job
from processor.shard.jobs.listing import ingest_page
from processor.shard.jobs.planning import count_multi_value
from processor.shard.match import BestMatch, add_hit
from processor.shard.messages import import_messages
from processor.shard.store import UnitOfWork
from processor.telemetry.catalogue import ExternalCapLowered, LocationThrottled, ResponseIngested

attempts_at_most: Final = 8
retry_first_ms: Final = 1_000
retry_at_most_ms: Final = 60_000
not_linked_again_ms: Final = 600_000  # DESIGN §7: a contact that is gone isn't linked again for so long

Asked = list[tuple[Lead, LeadWork, Question]]


def ingest_response(turn: UnitOfWork, response: Response) -> Iterable[Lead]:
    """Ingest a response. Return the leads that asked for it."""
    call, permit = response.call, response.call.permit
    if response.ingested:  # the rest of a page: its slot is complete
        ingest_page(turn, response)
        return ()
    location, budget = Location.of(turn, permit.location), Ledger.of(turn, permit.location).budget
    if not of_listing(call):
        turn.call_finished(location.id, permit.slot)
    turn.locations_to_schedule[location.id] = None
    if not budget.complete(permit.slot, turn.now, responded=response.status is not None):
        return ()  # it was ingested before, by a turn whose commit had an unknown outcome
    turn.telemetry.append(response_ingested(turn, response))
    observe_headers(turn, budget, response)
    probing, counted = location.breaker.is_probe(permit.granted), not location.breaker.open
    count_failure(turn, location, response)
    if not ingest_for_location(turn, location, budget, response):
        turn.call_finished(location.id, permit.slot)
        return ()
    if of_listing(call):
        ingest_page(turn, response, counted)
        return ()
    asked = list(still_asked(turn, call))
    note_work(turn, call, asked)
    ingest_outcome(turn, response, asked, counted)
    if probing and not counted and isinstance(response.outcome, Lost | Unavailable):
        for _, work, _ in asked:
            work.due = location.breaker.probe_at + 1  # the next probe comes from another piece of work
    return [lead for lead, _, _ in asked]


def of_listing(call: Call) -> bool:
    """True if the call asked for a page of a job's listing."""
    request = call.request
    return isinstance(request, ListContacts) or (isinstance(request, ExportMessages) and request.job is not None)


def observe_headers(turn: UnitOfWork, budget: Budget, response: Response) -> None:
    if response.headers and budget.observe_headers(response.call.permit.slot, response.headers, turn.now):
        turn.telemetry.append(
            ExternalCapLowered(location=budget.location, ceiling=budget.external_cap, until=budget.external_cap_until)
        )


def count_failure(turn: UnitOfWork, location: Location, response: Response) -> None:
    """The circuit breaker counts calls without a response, or with one that shows nothing."""
    outcome, permit = response.outcome, response.call.permit
    if isinstance(outcome, Lost | Unavailable) or outcome == Unsent("connect"):
        location.call_failed(permit.granted, permit.slot, turn.now)
    elif not isinstance(outcome, Unsent):
        location.breaker.close()


def ingest_for_location(turn: UnitOfWork, location: Location, budget: Budget, response: Response) -> bool:
    """Note what the response shows of the location. Return False if the leads have nothing to learn from it."""
    permit, outcome = response.call.permit, response.outcome
    match outcome:
        case Unsent():
            return False
        case Throttled(retry_after_ms):
            until = turn.now + jittered(retry_after_ms or window_ms, location.key, permit.slot)
            budget.freeze(until)
            turn.telemetry.append(LocationThrottled(location=location.id, retry_after_ms=retry_after_ms, until=until))
            return False
        case Unauthorized("scope") if response.call.kind is CallKind.MESSAGES:
            location.no_messages_since = turn.now
        case Unauthorized(why):
            location.pause = Pause(why, permit.granted, response.token)
            return False
        case Found() | Page() | Exported() | Gone() | Refused():
            if location.pause and permit.granted >= location.pause.tried:
                location.pause = None  # the trial succeeded
    return True


def still_asked(turn: UnitOfWork, call: Call) -> Iterator[tuple[Lead, LeadWork, Question]]:
    """Yield the leads that still ask this: a response to an old question is not applied."""
    for question in call.questions:
        lead = Lead.of(turn, call.permit.location, question.lead)
        if lead.work and lead.work.question == question.question:
            yield lead, lead.work, question.question


def note_work(turn: UnitOfWork, call: Call, asked: Asked) -> None:
    """Note in each lead's work what the call cost; the call itself counts for the first lead."""
    if asked:
        calls = asked[0][1].calls
        calls[call.kind.value] = calls.get(call.kind.value, 0) + 1
    for _, work, _ in asked:
        work.asked |= call.kind is not CallKind.MESSAGES
        work.permit_ms += max(0, call.permit.granted - max(work.due, work.accepted_at))
        work.network_ms += max(0, turn.now - call.permit.granted)


def ingest_outcome(turn: UnitOfWork, response: Response, asked: Asked, counted: bool) -> None:
    """Put what the response shows of the leads into their work."""
    call, outcome = response.call, response.outcome
    width = len({question.question for question in call.questions})
    if width > 1 and isinstance(outcome, Found | Refused) and (job := active_job(turn, call.permit.location)):
        count_multi_value(turn, job, isinstance(outcome, Refused))
    match outcome:
        case Found(contacts, total) if total > len(contacts) and width > 1:
            narrow(asked, width)
        case Found(contacts):
            add_contacts(turn, asked, contacts)
        case Exported():
            add_messages(turn, asked, outcome)
        case Unauthorized():
            messages_failed(asked)
        case Gone():
            contact_gone(turn, asked)
        case Refused(why="internal_error"):  # ingesting this very response raised
            fail(asked, Failure.INTERNAL_ERROR)
        case Refused() if call.kind is CallKind.MESSAGES:
            export_refused(asked)
        case Refused() if width > 1:
            narrow(asked, width)
        case Refused():
            fail(asked, Failure.REFUSED)
        case _ if counted:
            for lead, work, question in asked:
                retry(turn, lead, work, question, width if isinstance(outcome, Unavailable) else None)


def add_contacts(turn: UnitOfWork, asked: Asked, contacts: Iterable[Contact]) -> None:
    """Each lead takes the hits that are its own; `decide` draws the conclusion."""
    index: dict[tuple[QuestionKind, str], list[Contact]] = {}
    for contact in contacts:
        emails = [(QuestionKind.EMAIL, email) for email in (contact.email, *contact.other_emails) if email]
        phones = [(QuestionKind.PHONE, digits(phone)) for phone in (contact.phone, *contact.other_phones) if phone]
        for name in dict.fromkeys([(QuestionKind.ID, contact.id), *emails, *phones]):
            index.setdefault(name, []).append(contact)
    for lead, work, question in asked:
        kind, value = question
        if kind in (QuestionKind.ID, QuestionKind.CONTACT):
            work.hydrating().searched = value
            for contact in index.get((QuestionKind.ID, value), ()):
                lead.fill(work, contact)
            continue
        best = BestMatch()
        for contact in index.get((kind, digits(value) if kind is QuestionKind.PHONE else value), ()):
            if not (lead.gone and lead.gone.contact_id == contact.id and turn.now < lead.gone.until):
                best = add_hit(best, contact, question, lead.known("phone"))
        work.resolving().match = best


def add_messages(turn: UnitOfWork, asked: Asked, exported: Exported) -> None:
    for lead, work, question in asked:
        if import_messages(turn, lead, work, question.value, exported.messages):
            work.attempts = 0
        stage = work.reading()
        stage.cursor = None if exported.cursor == stage.cursor else exported.cursor
        if stage.cursor is None:
            stage.outcome = MessagesOutcome.IMPORTED if work.imported else MessagesOutcome.NONE


def messages_failed(asked: Asked) -> None:
    for _, work, _ in asked:
        work.reading().outcome = MessagesOutcome.FAILED


def export_refused(asked: Asked) -> None:
    """The cursor has expired: the export begins again from the last message. Or no messages are to be had."""
    for _, work, _ in asked:
        stage = work.reading()
        work.attempts += 1
        if stage.cursor is None or work.attempts >= attempts_at_most:
            stage.outcome = MessagesOutcome.FAILED
        stage.cursor = None


def contact_gone(turn: UnitOfWork, asked: Asked) -> None:
    """The linked contact doesn't exist any more: the link is cleared, and the lead resolved again."""
    for lead, work, question in asked:
        lead.gone = GoneContact(question.value, turn.now + not_linked_again_ms)
        lead.drop_facts()
        work.start_over()


def fail(asked: Asked, failure: Failure) -> None:
    for _, work, _ in asked:
        work.failure = failure


def narrow(asked: Asked, width: int) -> None:
    """The search was too wide: its leads share the next one with half as many values."""
    for _, work, _ in asked:
        work.width = max(1, width // 2)


def retry(turn: UnitOfWork, lead: Lead, work: LeadWork, question: Question, width: int | None) -> None:
    """Ask again after growing, jittered delays. A search of `width` values that fails twice may hold a poisoned one:
    it is halved.
    """
    work.attempts += 1
    if work.attempts >= attempts_at_most:
        if question.kind is QuestionKind.MESSAGES:
            work.reading().outcome = MessagesOutcome.FAILED
        else:
            work.failure = Failure.UNAVAILABLE
        return
    if width is not None and work.attempts > 1:
        narrow([(lead, work, question)], width)
    delay = min(retry_first_ms << work.attempts - 1, retry_at_most_ms)
    work.due = turn.now + jittered(delay, lead.key, work.attempts)


def response_ingested(turn: UnitOfWork, response: Response) -> ResponseIngested:
    outcome = response.outcome
    return ResponseIngested(
        location=response.call.permit.location,
        kind=response.call.kind,
        outcome=type(outcome).__name__.lower(),
        status=response.status,
        trace_id=response.trace_id,
        network_ms=max(0, turn.now - response.call.permit.granted),
        contacts=len(outcome.contacts) if isinstance(outcome, Found | Page) else 0,
        messages=len(outcome.messages) if isinstance(outcome, Exported) else 0,
    )
