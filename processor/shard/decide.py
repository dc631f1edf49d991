"""Decide what is to be done about a lead's work: ask, wait, or done. No other code names an outcome.

`decide` changes nothing but the stage that the work has reached; `apply.py` acts on its answer.
"""

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from processor.events.cloudevents import Malformed
from processor.highlevel.contact import Contact, value_limit
from processor.highlevel.requests import Question, QuestionKind
from processor.shard.documents.lead import Lead, facts
from processor.shard.documents.ledger import Ledger, Position
from processor.shard.documents.location import Location
from processor.shard.documents.sync_request import SyncRequest
from processor.shard.documents.work import LeadWork
from processor.shard.match import Ambiguous, Linked, resolve_match
from processor.shard.store import UnitOfWork

young_ms: Final = 120_000  # contract.md §4.1: search lags behind; a fresh lead's contact may only not be indexed yet
look_again_ms: Final = (15_000, 60_000)  # after the first look
recheck_ms: Final = 250  # lead.changes isn't read up to the request's arrival yet
get_only: Final = frozenset({"timezone"})  # contract.md §4.1: no search payload has it


class Outcome(StrEnum):
    """The outcomes of DESIGN §3, `lead.synced`."""

    UPDATED = "updated"
    UNCHANGED = "unchanged"
    CREATED = "created"
    NOT_FOUND = "not_found"
    AMBIGUOUS = "ambiguous"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Ask:
    """HighLevel must be asked this."""

    question: Question


@dataclass(frozen=True, slots=True)
class Link:
    """The search found the lead's contact: link it, then decide anew."""

    contact: Contact


@dataclass(frozen=True, slots=True)
class Done:
    """No call would find more. `outcome` None: `updated` or `unchanged`, by what was filled."""

    outcome: Outcome | None = None
    reason: str | None = None
    messages_unavailable: bool = False  # they can't be asked for; the contact's outcome stands

    @property
    def failed(self) -> bool:
        return self.outcome is Outcome.FAILED


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing is asked before `at` (ms). Those who can't wait are answered with `meanwhile`."""

    at: int
    meanwhile: Done | None = None


Decision = Ask | Link | Wait | Done


def decide(turn: UnitOfWork, lead: Lead, work: LeadWork) -> Decision:
    if lead.deleted is not None:
        return Done(Outcome.FAILED, "lead_deleted")
    if lead.revision is None:
        return decide_unknown(turn, lead, work)
    if work.failure:
        return Done(Outcome.FAILED, work.failure.value)
    return decide_lead(lead, work, turn.setup.fetch_fields, turn.now, turn)


def decide_lead(
    lead: Lead, work: LeadWork, fetch_fields: Collection[str], now: int, turn: UnitOfWork | None = None
) -> Decision:
    """Decide about a lead that is there. Without a turn its messages are left out."""
    linked = lead.contact_id
    decision = decide_gaps(lead, work, linked, fetch_fields, now) if linked else decide_contact(lead, work, now)
    asks_messages = decision == Done() and linked and work.wants_messages and not work.messages_read
    return decide_messages(turn, lead, work, linked) if turn and linked and asks_messages else decision


def decide_contact(lead: Lead, work: LeadWork, now: int) -> Decision:
    """Decide which contact it is (DESIGN §7, points 2 to 4)."""
    question, stage = lead.lookup(), work.resolving()
    if question is None:
        return not_found(lead, "no_identity")
    if stage.match is None:
        return not_found(lead, None) if is_cached(lead, work, now) else Ask(question)
    match resolve_match(stage.match):
        case Linked(contact):
            return Link(contact)
        case Ambiguous():
            return Done(Outcome.AMBIGUOUS, "different_phones")
    waiters = work.waiters
    young = now - lead.created < young_ms and (waiters.causes or waiters.requests)  # a job's lead was known before
    if not stage.first_look_at and young:
        stage.first_look_at = now
    if stage.first_look_at:
        looks = [stage.first_look_at + ms for ms in look_again_ms if stage.first_look_at + ms > now]
        if looks:
            return Wait(looks[0], Done(Outcome.NOT_FOUND, "may_lag"))
    return not_found(lead, "no_contact")


def not_found(lead: Lead, reason: str | None) -> Done:
    link_is_gone = lead.gone and lead.snapshot.get("contact_id") == lead.gone.contact_id
    return Done(Outcome.NOT_FOUND, "contact_gone" if link_is_gone else reason)


def decide_gaps(lead: Lead, work: LeadWork, linked: str, fetch_fields: Collection[str], now: int) -> Decision:
    """Decide whether its contact can fill what is missing (DESIGN §7.5)."""
    gaps, part = lead.gaps(), work.hydrate
    seen = part.seen if part and part.seen and part.seen.contact_id == linked else None
    if not gaps or (seen and seen.origin == "contact"):
        return Done()
    if seen is None:
        if is_cached(lead, work, now):
            return Done()
        searched = part is not None and part.searched == linked
        if not searched and len(linked) <= value_limit and not get_only.issuperset(gaps):
            return Ask(Question(QuestionKind.ID, linked))
    elif lead.fetched and seen.updated and (lead.fetched.contact_id, lead.fetched.updated) == (linked, seen.updated):
        return Done()
    sync_waits = work.waiters.requests > 0  # it pays a GET for any gap, a plain change only for fetch_fields
    worth_a_get = bool(gaps) if sync_waits else not set(gaps).isdisjoint(fetch_fields)
    return Ask(Question(QuestionKind.CONTACT, linked)) if worth_a_get else Done()


def decide_messages(turn: UnitOfWork, lead: Lead, work: LeadWork, linked: str) -> Decision:
    """All is known of the contact: decide whether its SMS can be asked for."""
    location = Location.of(turn, lead.location)
    if location.serves_messages(turn.now, sync_waits=work.waiters.requests > 0):
        return Ask(Question(QuestionKind.MESSAGES, linked))
    return Done(messages_unavailable=True)


def decide_unknown(turn: UnitOfWork, lead: Lead, work: LeadWork) -> Decision:
    """Upstream published nothing of this lead. That is certain once lead.changes is read up to the Syncs' arrival."""
    if turn.now < work.due:
        return Wait(work.due)
    read_up_to = Position.of(turn, "lead.changes").offset
    waiting = SyncRequest.open_ones(turn, lead.location, lead.id, limit=500)
    if any(request.changes_end > read_up_to for request in waiting):
        return Wait(turn.now + recheck_ms)
    return Done(Outcome.FAILED, "unknown_lead")


def decide_overdue(turn: UnitOfWork, lead: Lead) -> Done:
    """A Sync's deadline has passed: it fails with the reason that held it."""
    budget = Ledger.of(turn, lead.location).budget
    state, _, _ = Location.of(turn, lead.location).standing(budget, turn.now)
    if state != "ok":
        return Done(Outcome.FAILED, state)
    return Done(Outcome.FAILED, "unavailable" if lead.work and lead.work.attempts else "deadline")


def decide_late(turn: UnitOfWork, request: SyncRequest) -> Done:
    """A Sync came after its deadline, or after its lead was deleted."""
    return Done(Outcome.FAILED, "deadline" if turn.now >= request.deadline else "lead_deleted")


def decide_malformed(malformed: Malformed) -> Done:
    """A request was dead-lettered, but its ids can be read."""
    return Done(Outcome.FAILED, "internal_error" if malformed.reason == "internal_error" else "invalid")


def is_cached(lead: Lead, work: LeadWork, now: int) -> bool:
    """True if HighLevel was asked lately and knew no more; only a Sync or a job asks all the same."""
    cache, waiters = lead.negative_cache, work.waiters
    return (
        not (waiters.requests or waiters.jobs)
        and cache is not None
        and now < cache.until
        and {*lead.gaps()} <= {*cache.gaps}
    )


@dataclass(frozen=True, slots=True)
class Conclusion:
    """An outcome as the contract words it."""

    outcome: Outcome
    changes: dict[str, str | None]
    replaces: dict[str, str] | None
    reason: str | None

    @property
    def filled(self) -> list[str]:
        """The names of the facts that are now known, `contact_id` among them."""
        return [name for name, value in self.changes.items() if value is not None]

    @property
    def is_news(self) -> bool:
        return self.outcome is not Outcome.UNCHANGED

    @property
    def found(self) -> bool:
        """True if the lead has its contact, whether or not that told anything new."""
        return self.outcome in (Outcome.UPDATED, Outcome.UNCHANGED, Outcome.CREATED)

    @property
    def failed(self) -> bool:
        return self.outcome is Outcome.FAILED


def conclude(lead: Lead, done: Done) -> Conclusion:
    """Return the outcome, the changes, what they replace and the reason."""
    filled = lead.filled
    changes: dict[str, str | None] = {name: filled[name] for name in facts if name in filled}
    replaces, reason = None, done.reason
    if done.failed:
        changes = {}
    elif (
        lead.gone
        and lead.snapshot.get("contact_id") == lead.gone.contact_id
        and reason != "may_lag"
        and done.outcome is not Outcome.AMBIGUOUS
    ):
        replaces, reason = {"contact_id": lead.gone.contact_id}, "contact_gone"
        changes = {"contact_id": lead.contact_id} | changes
    outcome = done.outcome or (Outcome.UPDATED if changes else Outcome.UNCHANGED)
    return Conclusion(outcome, changes, replaces, reason)


abandoned: Final = Outcome.FAILED.value  # leads that a failed job hasn't come to
