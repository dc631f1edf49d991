"""The kinds of leads: what upstream knows of one, what HighLevel knows, and what must come of it by DESIGN §7.

A kind is a function from a `Maker` to a `Case`; `kinds` is the table of them.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from tests.lab.demo.maker import Maker, newer, newest, old
from tests.lab.demo.people import dressed, names, phone, typed, without
from tests.lab.demo.truth import Case, Should, any_reason


def complete(m: Maker) -> Case:
    """Lacks nothing: no call, no result."""
    who, id = m.someone(), m.contact_id()
    unchanged = Should("unchanged", id, resolved_by="lead")
    return m.case("complete", m.data(who, id), None, unchanged, contacts=(m.contact(m.crm(who)),))


def missing_fields(m: Maker) -> Case:
    """Its contact is known and fills what it lacks."""
    who = m.someone()
    return m.linked("missing fields", without(m.draw, who, ("phone",), 0.4), m.crm(who))


def missing_names(m: Maker) -> Case:
    """Its contact is known. Where search shows names in lower case only, a GET is worth it."""
    who = m.someone()
    return m.linked("missing names", without(m.draw, who, names, 0.3), m.crm(who))


def nothing_more_known(m: Maker) -> Case:
    """Lacks what its contact doesn't know either: a call that gained nothing says so."""
    who = m.someone()
    return m.linked("nothing more known", without(m.draw, who, ("website",), 0), m.crm(who, ("website",), 0))


def found_by_email(m: Maker) -> Case:
    """Lacks its contact, which has the same e-mail in another spelling."""
    who = m.someone()
    has = without(m.draw, who, m.draw.choice(((), ("phone",))), 0.3) | {"email": typed(m.draw, who["email"])}
    return m.found("found by e-mail", has, m.crm(who))


def found_without_names(m: Maker) -> Case:
    """Lacks its contact and its names."""
    who = m.someone()
    return m.found("found, lacks names", without(m.draw, who, names, 0.3), m.crm(who))


def found_by_phone(m: Maker) -> Case:
    """Lacks its contact and a usable e-mail: its phone finds it."""
    who = m.someone()
    has = without(m.draw, who, ("email",), 0.3) | {"phone": dressed(m.draw, who["phone"])}
    if m.draw.random() < 0.5:
        has["email"] = m.unusable_email()
    return m.found("found by phone", has, m.crm(who), by="phone")


def no_such_contact(m: Maker) -> Case:
    """Nobody has its e-mail; that a contact has its phone, or its e-mail as an additional one, finds nothing."""
    who = m.someone()
    has = without(m.draw, who, (), 0.3) | {"email": m.nobody()}
    alike = m.crm(who | {"phone": phone(m.number, 1)})
    traps = (
        (),
        (m.contact(alike | {"phone": who["phone"]}),),
        (m.contact(alike, additionalEmails=[{"email": m.nobody()}]),),
    )
    nobody = Should("not_found", reason=any_reason)
    return m.case("no such contact", m.data(has), nobody, nobody, contacts=m.draw.choice(traps))


def ambiguous(m: Maker) -> Case:
    """Several contacts have its e-mail, with different phones, none of them the lead's."""
    who = m.someone()
    has = without(m.draw, who, m.draw.choice(((), ("phone",))), 0.3)
    contacts = tuple(
        m.contact(m.crm(who) | {"phone": phone(m.number, which)}, which, m.draw.choice((old, newer, newest)))
        for which in range(1, m.draw.choice((3, 4)))
    )
    unclear = Should("ambiguous", reason=any_reason)
    return m.case("ambiguous", m.data(has), unclear, unclear, contacts=contacts)


def one_has_our_phone(m: Maker) -> Case:
    """Several contacts have its e-mail; one has its phone too, though it is the oldest."""
    who = m.someone()
    ours = m.crm(who)
    contacts = (
        m.contact(m.crm(who) | {"phone": phone(m.number, 1)}, 1, newest),
        m.contact(ours, 2, old),
        m.contact(m.crm(who, ("phone",)), 3, newer),
    )
    has = without(m.draw, who, (), 0.3) | {"phone": dressed(m.draw, who["phone"])}
    return m.found("one has our phone", has, ours, which=2, contacts=contacts)


def several_agree(m: Maker) -> Case:
    """Several contacts have its e-mail and don't disagree on who they are: the newest one, then the smallest id."""
    who = m.someone()
    has, best = without(m.draw, who, ("phone",), 0.3), m.crm(who)
    same_phone, no_phone = m.crm(who) | {"phone": dressed(m.draw, who["phone"])}, m.crm(who, ("phone",))
    which, contacts = m.draw.choice(
        (
            (2, (m.contact(same_phone, 1, old), m.contact(best, 2, newest))),
            (3, (m.contact(no_phone, 1, old), m.contact(same_phone, 2, newer), m.contact(best, 3, newest))),
            (1, (m.contact(no_phone, 2, newer), m.contact(best, 1, newer))),
        )
    )
    return m.found("several agree", has, best, which=which, contacts=contacts)


def dead_with_successor(m: Maker) -> Case:
    """Its contact is gone, which only a GET for its names shows; another one has its e-mail."""
    who = m.someone()
    has, knows, gone = without(m.draw, who, names, 0.3), m.crm(who), m.contact_id(9)
    shoulds = [m.now_linked(has, knows, sync=sync, replaces=gone, reason="contact_gone") for sync in (False, True)]
    return m.case("dead link, successor", m.data(has, gone), *shoulds, contacts=(m.contact(knows),))


def dead_without_successor(m: Maker) -> Case:
    """Its contact is gone, and no other one is found, or there is nothing to search by."""
    who, gone = m.someone(), m.contact_id(9)
    has = without(m.draw, who, (*names, "email", "phone"), 0.3)
    if m.draw.random() < 0.7:
        has["email"] = m.nobody()
    nobody = Should("not_found", None, {"contact_id": None}, gone, "contact_gone")
    return m.case("dead link, nobody", m.data(has, gone), nobody, nobody)


def dead_unnoticed(m: Maker) -> Case:
    """Its contact is gone, but it lacks nothing that a GET is worth: that no search shows the contact says nothing."""
    who, gone = m.someone(), m.contact_id(9)
    has, knows = without(m.draw, who, ("city",), 0), m.crm(who, share=0)
    unchanged = Should("unchanged", gone, resolved_by="lead")
    noticed = m.now_linked(has, knows, sync=True, replaces=gone, reason="contact_gone")
    return m.case("dead link, unnoticed", m.data(has, gone), unchanged, noticed, contacts=(m.contact(knows),))


def nothing_to_search_by(m: Maker) -> Case:
    """Has no contact, no usable e-mail, and no phone with a country code: no call, and only a Sync is told."""
    who = m.someone()
    has = without(m.draw, who, ("email", "phone"), 0.3)
    if m.draw.random() < 0.5:
        has["email"] = m.unusable_email()
    if m.draw.random() < 0.5:
        has["phone"] = f"555 {who['phone'][-7:]}"
    return m.case("nothing to search by", m.data(has), None, Should("not_found", reason="no_identity"))


def edited(m: Maker) -> Case:
    """First with an e-mail that nobody has, then corrected: what has seen the correction speaks of nothing else."""
    who = m.someone()
    knows, has = m.crm(who), without(m.draw, who, (), 0.3)
    then = m.data(has, revision=2)
    first = {**then, "revision": 1, "email": m.nobody()}
    case = m.found("edited", has, knows, data=then, messages=(m.changed(first), m.changed(then)))
    answers = {1: Should("not_found", reason=any_reason), **case.answers}
    return replace(case, answers=answers, events=case.events | {m.event_id(first)})


def initial_load(m: Maker) -> Case:
    """Recorded only, until somebody asks."""
    case = found_by_email(m)
    data = {**case.data, "loading": True}
    return replace(case, kind="initial load", data=data, messages=(m.changed(data),), answers={})


def deleted(m: Maker) -> Case:
    """Forgotten: only a Sync is told."""
    data = {"location_id": m.location, "lead_id": m.lead, "revision": 5}
    gone = Should("failed", reason="lead_deleted")
    return m.case("deleted", data, None, gone, messages=(m.changed(data, "lead.deleted"),))


def young_late(m: Maker) -> Case:
    """So new that search doesn't know its contact yet: asked again 15 s later. A Sync is told so at once."""
    who = m.someone()
    has, knows = without(m.draw, who, ("phone",), 0.3), m.crm(who)
    case = m.found("young, indexed late", has, knows, data=m.data(has, age_s=20), contacts=())
    may_lag = Should("not_found", reason="may_lag")
    return replace(case, late=(m.contact(knows),), synced=may_lag, again=case.answers[1])


def young_nobody(m: Maker) -> Case:
    """So new that HighLevel is asked three times, over a minute, before nobody is found."""
    nobody = Should("not_found", reason=any_reason)
    may_lag = Should("not_found", reason="may_lag")
    has = without(m.draw, m.someone(), (), 0.3) | {"email": m.nobody()}
    return m.case("young, nobody", m.data(has, age_s=20), nobody, may_lag)


def only_timezone(m: Maker) -> Case:
    """Lacks what no search shows: a Sync is worth a GET."""
    who = m.someone()
    return m.linked("only the time zone", without(m.draw, who, ("timezone",), 0), m.crm(who, share=0))


Kind = Callable[[Maker], Case]
kinds: Final[Mapping[str, Kind]] = {
    kind.__name__: kind
    for kind in (
        complete,
        missing_fields,
        missing_names,
        nothing_more_known,
        found_by_email,
        found_without_names,
        found_by_phone,
        no_such_contact,
        ambiguous,
        one_has_our_phone,
        several_agree,
        dead_with_successor,
        dead_without_successor,
        dead_unnoticed,
        nothing_to_search_by,
        edited,
        initial_load,
        deleted,
        young_late,
        young_nobody,
        only_timezone,
    )
}
