"""The location that is synced as a whole: its leads are brought in with `loading`, and one request asks for them all.

What must come of each follows from its kind (`kinds`, and those below that only a scan tells apart) and from DESIGN §7:
a scan joins all contacts of the location to all leads, so it also finds who has a lead's e-mail as an additional one.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from random import Random
from typing import Final

from tests.lab.demo.kinds import Kind, kinds
from tests.lab.demo.maker import Maker, newest, old
from tests.lab.demo.mix import Mix, dealt
from tests.lab.demo.people import phone, typed, without
from tests.lab.demo.sms import overheard, said
from tests.lab.demo.truth import Case, Message, Payload, Should, Sms, any_reason
from tests.lab.demo.wire import event, moment

first_number: Final = 1_000_000  # of its leads: far from those of other locations
strangers_share: Final = 0.05  # contacts that are no lead's, of the number of leads
added_within_s: Final = 3 * 365 * 86_400  # contacts came in this time,
since_ms: Final = 1_609_459_200_000  # from 2021-01-01 on
imported_share: Final = 0.05  # but for these, which came all at once: more than a page of a scan is of one millisecond

usual_mix: Final[Mix] = {
    "found_by_email": 480,
    "found_without_names": 80,
    "complete": 120,
    "missing_fields": 90,
    "missing_names": 30,
    "nothing_more_known": 30,
    "found_by_phone": 30,
    "nobody_to_find": 50,
    "only_by_additional_email": 25,
    "primary_before_additional": 5,
    "several_agree": 20,
    "one_has_our_phone": 15,
    "ambiguous": 20,
    "nothing_to_search_by": 4,
    "dead_with_successor": 0.6,  # they cost a GET each, and are looked for again afterwards
    "dead_without_successor": 0.4,
}


@dataclass(frozen=True, slots=True, repr=False)
class SyncAll:
    location: str
    request_id: str
    cases: Sequence[Case]  # their messages are published first, then the request
    strangers: Sequence[Payload]  # contacts that are no lead's
    request: Message
    overheard: Sequence[Sms] = ()  # what the strangers said and were told

    @property
    def looked_up(self) -> int:
        """Leads that one search each would have to be spent on: the others lack nothing, or nothing can find them."""
        return sum(case.looked_up for case in self.cases)

    def contacts(self) -> Iterator[tuple[str, Payload]]:
        """Location and contact, in GET's shape, of all that HighLevel knows of the location."""
        yield from ((self.location, contact) for case in self.cases for contact in case.contacts)
        yield from ((self.location, contact) for contact in self.strangers)

    def sms(self) -> Iterator[tuple[str, Sms]]:
        """Location and message, of all that HighLevel knows of the location."""
        yield from ((self.location, one) for case in self.cases for one in case.sms)
        yield from ((self.location, one) for one in self.overheard)


def sync_all(
    location: str, makers: Iterator[Maker], leads: int, now_ms: int, mix: Mix = usual_mix, seed: int = 0
) -> SyncAll:
    draw = Random(f"{location} {leads}")
    wanted = dealt(mix, leads)
    draw.shuffle(wanted)
    cases = [spread(draw, loaded(every_kind[kind], m)) for kind, m in zip(wanted, makers, strict=False)]
    cases = [said(case, now_ms, seed) for case in cases]
    strangers = [came(draw, m.contact(m.crm(m.someone()))) for m in islice(makers, int(leads * strangers_share))]
    request_id = f"sync-all-{location.removeprefix('location-')}"
    question = {"request_id": request_id, "location_id": location}
    request = event("sync.location.requested", question, f"{request_id}:asked", request_id, now_ms)
    heard = [one for contact in strangers for one in overheard(location, contact["id"], now_ms, seed)]
    return SyncAll(location, request_id, cases, strangers, request, heard)


def loaded(kind: Kind, m: Maker) -> Case:
    """Recorded only, until the job comes to it."""
    case = kind(m)
    data = {**case.data, "loading": True}
    looked_up = bool(case.last)  # a change of what needs no call says nothing
    return replace(judged(case), data=data, messages=(m.changed(data),), answers={}, looked_up=looked_up)


def judged(case: Case) -> Case:
    """What a job makes of a lead is what a change would, only that a scan found it by its e-mail (by its phone is told alike);
    where a change says nothing, a job says what a Sync does. A lead whose contact turns out to be gone may be looked for
    in what the scan knows, or anew."""
    should = case.last or case.synced
    if case.scanned or should is None:
        return case
    found = replace(should, resolved_by="scan") if should.resolved_by == "search" else should
    scanned = (found, should) if should.replaces and found != should else (found,)
    return replace(case, scanned=scanned, probed=(should,))


def spread(draw: Random, case: Case) -> Case:
    return replace(case, contacts=tuple(came(draw, contact) for contact in case.contacts))


def came(draw: Random, contact: Payload) -> Payload:
    """With a day of its own on which it came into HighLevel, or that of the import."""
    after_s = 0 if draw.random() < imported_share else draw.randrange(added_within_s)
    return {**contact, "dateAdded": moment(since_ms + after_s * 1_000)}


def nobody_to_find(m: Maker) -> Case:
    """No contact has its e-mail, in any place; that one has its phone finds nothing, as its e-mail is usable."""
    who = m.someone()
    has = without(m.draw, who, (), 0.3) | {"email": m.nobody()}
    namesake = m.contact(m.crm(who))
    nobody = Should("not_found", reason=any_reason)
    return m.case("nobody to find", m.data(has), nobody, nobody, contacts=m.draw.choice(((), (), (namesake,))))


def only_by_additional_email(m: Maker) -> Case:
    """Its e-mail is a contact's additional one, which a search can't find."""
    who = m.someone()
    knows, email = m.crm(who), m.nobody()
    has = without(m.draw, who, m.draw.choice(((), ("phone",))), 0.3) | {"email": email}
    contact = m.contact(knows, additionalEmails=[{"email": typed(m.draw, email).strip()}])
    case = m.found("only by additional e-mail", has, knows, contacts=(contact,))
    nobody = Should("not_found", reason=any_reason)
    return replace(case, scanned=(m.now_linked(has, knows, "scan"),), probed=(nobody,))


def primary_before_additional(m: Maker) -> Case:
    """It is another contact's additional e-mail, too, and that one is newer: whose e-mail it is comes first."""
    who = m.someone()
    knows = m.crm(who, ("phone",))
    other = m.crm(who) | {"email": f"other.{m.number}@example.org", "phone": phone(m.number, 1)}
    contacts = (m.contact(other, 2, newest, additionalEmails=[{"email": knows["email"]}]), m.contact(knows, 1, old))
    return m.found("primary before additional", without(m.draw, who, (), 0.3), knows, contacts=contacts)


every_kind: Final[Mapping[str, Kind]] = {
    **kinds,
    **{kind.__name__: kind for kind in (nobody_to_find, only_by_additional_email, primary_before_additional)},
}
