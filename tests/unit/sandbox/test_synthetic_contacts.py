"""Synthetic contacts are repeatable, and look like HighLevel's."""

import re
from collections import Counter

from processor.sandbox.synthetic_contacts import ContactMix, synthetic_contacts


def test_a_seed_and_a_location_always_give_the_same_contacts() -> None:
    assert list(synthetic_contacts("here", 50, 1)) == list(synthetic_contacts("here", 50, 1))
    assert list(synthetic_contacts("here", 50, 1)) == list(synthetic_contacts("here", 80, 1))[:50]
    assert not {c.id for c in synthetic_contacts("here", 50, 1)} & {c.id for c in synthetic_contacts("here", 50, 2)}
    assert not {c.id for c in synthetic_contacts("here", 50, 1)} & {c.id for c in synthetic_contacts("there", 50, 1)}


def test_they_look_like_highlevels_and_are_no_real_data() -> None:
    for contact in synthetic_contacts("here", 500):
        assert re.fullmatch("[A-Za-z0-9]{20}", contact.id)
        assert contact.email is None or re.fullmatch(r"[A-Za-z.]+\d+@example\.(com|org|net)", contact.email)
        assert contact.phone is None or re.fullmatch(r"\+1555\d{7}", contact.phone)
        assert contact.added <= contact.updated


def test_ids_and_emails_are_unique_and_times_ascend() -> None:
    contacts = list(synthetic_contacts("here", 2_000))
    emails = [contact.email.lower() for contact in contacts if contact.email]

    assert 2_000 == len({contact.id for contact in contacts})
    assert len(emails) == len(set(emails))
    assert contacts == sorted(contacts, key=lambda contact: contact.added)


def test_the_mix_sets_the_shares() -> None:
    full = list(synthetic_contacts("here", 300, mix=ContactMix(without_email=0, without_phone=0, gaps=0, mixed_case=0)))
    empty = list(
        synthetic_contacts("here", 300, mix=ContactMix(without_email=0, without_phone=1, gaps=1, shared_email=1))
    )
    usual = list(synthetic_contacts("here", 2_000))

    assert all(contact.phone and contact.email == contact.email.lower() for contact in full if contact.email)
    assert all(contact.city and contact.first_name and contact.timezone for contact in full)
    assert not any(contact.phone or contact.city or contact.first_name for contact in empty)
    assert {300} == set(Counter(contact.email for contact in empty).values())
    assert 100 < sum(1 for contact in usual if contact.phone is None) < 300
    assert {None, ""} == {contact.city for contact in usual if not contact.city}
