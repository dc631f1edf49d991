"""Which contact is it? Hits are folded one by one, so their order must not matter (DESIGN §7.3)."""

from functools import reduce
from itertools import permutations
from random import Random

import pytest
from hypothesis import given, strategies

from processor.highlevel.contact import Contact, from_search
from processor.highlevel.requests import Question, QuestionKind
from processor.shard.match import Ambiguous, BestMatch, Linked, NotFound, add_hit, resolve_match

email = "jane@example.com"
asked = Question(QuestionKind.EMAIL, email)
ours, theirs, others = "+1 555 000 0001", "+15550000002", "+15550000003"


def hit(number: int, phone: str | None = None, updated: str = "2024-01-01T00:00:00Z", by: str = "primary") -> Contact:
    """Return a contact as a search shows it; `by` names the field of the e-mail."""
    payload = {"id": f"contact-{number}", "phone": phone, "dateUpdated": updated, "additionalEmails": [email]}
    if by != "additional":
        payload |= {"email": email if by == "primary" else by, "additionalEmails": []}
    found = from_search(payload)
    assert found is not None
    return found


def resolved(hits: list[Contact], phone: str | None = None) -> str | None:
    """The linked contact's id, "ambiguous", or None."""
    match resolve_match(reduce(lambda best, one: add_hit(best, one, asked, phone), hits, BestMatch())):
        case Linked(contact):
            return contact.id
        case Ambiguous():
            return "ambiguous"
        case NotFound():
            return None


@pytest.mark.parametrize(
    ("hits", "phone", "expected"),
    [
        ([], None, None),
        ([hit(1, by="someone.else@example.com")], None, None),  # HighLevel's word isn't taken for it
        ([hit(1)], None, "contact-1"),
        ([hit(1, by="additional"), hit(2)], None, "contact-2"),
        ([hit(1, by="additional")], None, "contact-1"),
        ([hit(1, theirs), hit(2, others)], None, "ambiguous"),
        ([hit(1, theirs), hit(2, others)], ours, "ambiguous"),
        ([hit(1, theirs), hit(2, "+1 (555) 000-0001")], ours, "contact-2"),  # by its digits
        ([hit(1, theirs), hit(2)], None, "contact-1"),  # a contact without a phone disagrees with none
        ([hit(1, theirs, "2024-01-01T00:00:00Z"), hit(2, theirs, "2024-05-01T00:00:00Z")], None, "contact-2"),
        ([hit(2, theirs), hit(1, theirs)], None, "contact-1"),
        ([hit(1, theirs, by="additional"), hit(2, others)], None, "contact-2"),  # a lower rank disagrees with none
    ],
)
def test_the_contact_is(hits: list[Contact], phone: str | None, expected: str | None) -> None:
    for order in permutations(hits):
        assert expected == resolved(list(order), phone)


contacts = strategies.builds(
    hit,
    strategies.integers(1, 6),
    strategies.sampled_from([None, ours, theirs, others]),
    strategies.sampled_from(["2024-01-01T00:00:00Z", "2024-05-01T00:00:00Z", "no date"]),
    strategies.sampled_from(["primary", "additional", "other@example.com"]),
)


@given(
    hits=strategies.lists(contacts, max_size=7, unique_by=lambda one: one.id),
    phone=strategies.sampled_from([None, ours, theirs]),
    random=strategies.randoms(use_true_random=False),
)
def test_the_order_of_hits_changes_nothing(hits: list[Contact], phone: str | None, random: Random) -> None:
    shuffled = random.sample(hits, len(hits))

    assert resolved(hits, phone) == resolved(shuffled, phone)
