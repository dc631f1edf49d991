"""The index of contacts agrees with a plain dictionary."""

from hypothesis import given, strategies

from processor.sandbox.contact_index import ContactIndex, contact_key
from processor.sandbox.stored_contact import StoredContact


def contact(id: str, added: int, updated: int, email: str | None, phone: str | None) -> StoredContact:
    return StoredContact(id, "here", added, updated, email, phone)


contacts = strategies.builds(
    contact,
    strategies.sampled_from("abcde"),
    strategies.integers(0, 3),
    strategies.integers(0, 3),
    strategies.sampled_from([None, "", "X@example.com", "x@example.com", "y@example.com"]),
    strategies.sampled_from([None, "+1555", "+1556"]),
)


@given(strategies.lists(contacts | strategies.sampled_from("abcde"), max_size=30))
def test_it_agrees_with_a_plain_dictionary(changes: list[StoredContact | str]) -> None:
    """After any puts and drops, each look-up finds the same contacts as a scan."""
    index, plain = ContactIndex(), dict[str, StoredContact]()
    index.ordered("dateAdded")  # made early, so that changes have to keep it
    for change in changes:
        if isinstance(change, StoredContact):
            index.put(change)
            plain[change.id] = change
        else:
            index.drop(change)
            plain.pop(change, None)

    assert plain == index.by_id
    for email in ("x@example.com", "y@example.com", ""):
        wanted = {contact.id for contact in plain.values() if email and (contact.email or "").lower() == email}
        assert wanted == {contact.id for contact in index.by_email.find(email)}
    for phone in ("+1555", "+1556"):
        wanted = {contact.id for contact in plain.values() if contact.phone == phone}
        assert wanted == {contact.id for contact in index.by_phone.find(phone)}
    for field in ("dateAdded", "dateUpdated", "email"):
        assert sorted(plain.values(), key=contact_key(field)) == list(index.ordered(field))
    assert {contact.id for contact in plain.values() if 1 <= contact.added <= 2} == {
        contact.id for contact in index.between("dateAdded", 1, 2)
    }
