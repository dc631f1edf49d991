"""What must hold of messages: each once for a lead, none of another's contact, none missing that an export could show, and
as many as results and jobs say. Judged from the topics, what left the workers, and what was said."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import orjson

from .conversations import Text
from .loop import start_ms
from .play import Run
from .streams import Data, Result, Stream, decided, streams
from .tale import Tale

Lead = tuple[str, str]  # location, id
had: Final = ("imported", "none")


@dataclass(frozen=True, slots=True)
class Import:
    """A message as it was published for a lead."""

    at: int  # ms since 1970, when its transaction was committed
    data: Data

    @property
    def lead(self) -> Lead:
        return self.data["location_id"], self.data["lead_id"]

    @property
    def id(self) -> str:
        return str(self.data["message"]["id"])


def imports(run: Run) -> dict[Lead, list[Import]]:
    """By lead, in the order of the log, as a read_committed reader sees them."""
    found: dict[Lead, list[Import]] = defaultdict(list)
    for one in told(run, "lead.messages"):
        found[one.data["location_id"], one.data["lead_id"]].append(Import(one.at, one.data))
    return found


def answers(run: Run) -> dict[Lead, list[Result]]:
    found: dict[Lead, list[Result]] = defaultdict(list)
    for one in told(run, "lead.updates"):
        found[one.data["location_id"], one.data["lead_id"]].append(one)
    return found


def told(run: Run, topic: str) -> Iterator[Result]:
    for where in run.scenario.owned:
        for _, entry in run.kafka.committed(topic, where):
            yield Result(decided(entry), orjson.loads(entry.value or b"null")["data"])


def each_once(run: Run) -> Iterator[str]:
    """Once a lead and message, whatever happens to whom."""
    for lead, mine in imports(run).items():
        for name, count in Counter(one.id for one in mine).items():
            if count > 1:
                yield f"{lead[1]}: {name} was published {count} times"


def nobody_elses(run: Run) -> Iterator[str]:
    """Only what was said with a contact that the lead may be linked to, as it was said."""
    texts = {text.id: text for text in run.scenario.texts}
    tales = {(tale.location, tale.lead): tale for tale in run.scenario.tales}
    for lead, mine in imports(run).items():
        contacts = {name for one in tales[lead].truth.revisions.values() for name in one.contacts}
        for one in mine:
            text = texts.get(one.id)
            if text is None or (text.location, text.contact) != (lead[0], one.data["contact_id"]):
                yield f"{lead[1]}: {one.id} was not said so"
            elif text.contact not in contacts:
                yield f"{lead[1]}: {one.id} is of {text.contact}"
            elif one.at < start_ms + text.appears:
                yield f"{lead[1]}: {one.id} was published before it was said"


def none_missing(run: Run) -> Iterator[str]:
    """Whoever is told that a lead has its messages finds all of them that were there before their export began: in the
    results that say so, and when a job that asked for them is completed."""
    published = imports(run)
    for lead, mine in answers(run).items():
        before = 0
        for result in mine:
            if result.data["messages"] in had and result.data["contact_id"]:
                began = export_began(run, lead, result.data["contact_id"], before, result.at)
                yield from missing(run, lead, result.data["contact_id"], began, result.at, published)
                before = result.at
    for stream in streams(run).values():
        if stream.end is None or stream.end.kind != "sync.completed" or not wants(stream):
            continue
        for tale in run.scenario.tales:
            if (contact := surely(tale)) and stream.covers(tale, run) and tale.truth.known < stream.order.at:
                lead = (tale.location, tale.lead)
                if not may_have_failed(run, tale):
                    yield from missing(run, lead, contact, start_ms + stream.order.at, stream.end.at, published)


def missing(
    run: Run, lead: Lead, contact: str, began: int, at: int, published: dict[Lead, list[Import]]
) -> Iterator[str]:
    """Of the messages that an export had to show which began then, those not published by then."""
    there = {one.id for one in published.get(lead, []) if one.at <= at}
    for text in said(run).get((lead[0], contact), ()):
        if start_ms + text.appears < began and text.id not in there:
            yield f"{lead[1]}: {text.id} was there at {began}, and was not published by {at}"


def export_began(run: Run, lead: Lead, contact: str, after: int, until: int) -> int:
    """When the first call may have arrived that brought messages for this result: later than the last result, which may
    have been decided a little before it was committed."""
    here = [sent for sent in run.server.sent if sent.location == lead[0] and sent.kind == "messages" and sent.arrived]
    mine = [sent for sent in here if sent.contact in (None, contact)]
    return min((sent.arrived or 0 for sent in mine if sent.until is None or after < sent.until <= until), default=0)


def said(run: Run) -> dict[Lead, list[Text]]:
    """By location and contact."""
    found: dict[Lead, list[Text]] = defaultdict(list)
    for text in run.scenario.texts:
        found[text.location, text.contact].append(text)
    return found


def wants(stream: Stream) -> bool:
    """A backfill doesn't ask for messages, unless told."""
    return stream.order.location is not None and not stream.order.dry


def surely(tale: Tale) -> str | None:
    """The one contact that a job must find for this lead, if the tale has no turns."""
    truth = tale.truth
    plain = truth.findable is None and truth.deleted is None and truth.job and truth.job <= {"updated", "unchanged"}
    contacts = {name for one in truth.revisions.values() for name in one.contacts}
    settled = len(truth.revisions) == 1 and len(contacts) == 1 and truth.replaces is None
    return next(iter(contacts)) if plain and settled and truth.vanishes is None else None


def may_have_failed(run: Run, tale: Tale) -> bool:
    """Its messages were not to be had for long, or its token's scope lacks them."""
    weather = run.world.weather
    long = any(one.location in (None, tale.location) and one.lasts_ms >= gives_up_ms for one in weather.outages)
    refused = any(one.location == tale.location for one in weather.refusals)
    return long or refused or tale.location in weather.cursors_refused or bool(tale.poison)


gives_up_ms: Final = 60_000  # eight attempts of one export take longer


def as_many_as_said(run: Run) -> Iterator[str]:
    """`messages_imported` of the results of a lead, and of a job whose location nobody else asks, is what was published;
    and where others ask, no more than that."""
    published, results = imports(run), answers(run)
    alone = {tale.location for tale in run.scenario.tales} - asked_twice(run)
    for lead in {*published, *results}:
        count = sum(one.data["messages_imported"] for one in results.get(lead, []))
        held = any(one.data["messages"] == "failed" for one in results.get(lead, []))
        mine = len(published.get(lead, []))
        exact = not covered(run, lead) and not turns(run, lead) and not held
        if count > mine or (exact and count != mine):
            yield f"{lead[1]}: results tell of {count} messages, {mine} were published"
        for one in results.get(lead, []):
            some = one.data["messages"] == "failed" or (one.data["messages"] == "imported") == (
                one.data["messages_imported"] > 0
            )
            if not some and not turns(run, lead):
                yield f"{lead[1]}: messages are {one.data['messages']}, {one.data['messages_imported']} of them"
    for stream in streams(run).values():
        if stream.end is None or stream.end.kind != "sync.completed" or not wants(stream):
            continue
        location = stream.order.location
        mine = sum(one.at <= stream.end.at for lead, many in published.items() if lead[0] == location for one in many)
        count = stream.end.data["messages_imported"]
        if count > mine or (location in alone and count != mine):
            yield f"{stream.name}: it tells of {count} messages, {mine} were published"


def asked_twice(run: Run) -> set[str]:
    """Locations where messages are asked for by more than one job, or Syncs, or where a lead's work may be dropped."""
    jobs = Counter(order.location for order in run.scenario.orders)
    return {
        tale.location
        for tale in run.scenario.tales
        if tale.truth.requests or tale.truth.deleted is not None or jobs[tale.location] + jobs[None] > 1
    }


def covered(run: Run, lead: Lead) -> bool:
    return any(order.covers(lead[0]) for order in run.scenario.orders)


def turns(run: Run, lead: Lead) -> bool:
    """Its work may be dropped, or begin anew with another contact, while messages come in."""
    tale = next(tale for tale in run.scenario.tales if (tale.location, tale.lead) == lead)
    return tale.truth.deleted is not None or len(tale.truth.revisions) > 1 or tale.truth.replaces is not None


promises_of_messages: Final = (each_once, nobody_elses, none_missing, as_many_as_said)
