"""Synthetic messages are repeatable, and spread around the mean."""

import re
from collections import Counter
from itertools import pairwise

import pytest

from processor.sandbox.directory import Directory, loaded_ms
from processor.sandbox.stored_message import StoredMessage, is_exported
from processor.sandbox.synthetic_contacts import synthetic_contacts
from processor.sandbox.synthetic_messages import (
    campaign_times_ms,
    other_type_shares,
    sms_type_shares,
    synthetic_messages,
)


def of_contacts(mean: float, n: int = 2_000) -> list[list[StoredMessage]]:
    return [synthetic_messages("here", f"contact{number}", mean) for number in range(n)]


def test_a_seed_a_location_and_a_contact_always_give_the_same_messages() -> None:
    assert synthetic_messages("here", "c", 50, 1) == synthetic_messages("here", "c", 50, 1) != []
    others = [
        *synthetic_messages("here", "c", 50, 2),
        *synthetic_messages("there", "c", 50, 1),
        *synthetic_messages("here", "d", 50, 1),
    ]
    assert not {message.id for message in synthetic_messages("here", "c", 50, 1)} & {message.id for message in others}


def test_a_location_holds_the_messages_of_its_contacts() -> None:
    """A checker in another process makes the same messages from the contacts' ids."""
    directory = Directory(seed=3, auto_contacts=50, messages=4)
    expected = [
        message
        for contact in synthetic_contacts("here", 50, 3)
        for message in synthetic_messages("here", contact.id, 4, 3)
    ]

    assert sorted(expected) == sorted(directory.location("here").history)


def test_the_mean_counts_messages_of_the_sms_channel() -> None:
    by_contact = of_contacts(5)
    shown = [sum(is_exported(message.type, "SMS") for message in messages) for messages in by_contact]

    assert 4.6 < sum(shown) / len(shown) < 5.4
    assert 250 < shown.count(0) < 420  # a sixth
    assert max(shown) > 25
    assert [] == synthetic_messages("here", "c", 0)


def test_all_types_occur_in_their_shares_and_both_spellings() -> None:
    types = Counter(message.type for messages in of_contacts(10) for message in messages)
    sms = sum(types[name] for name in sms_type_shares)

    assert {*sms_type_shares, *other_type_shares} == types.keys()
    assert 0.68 < types["TYPE_SMS"] / sms < 0.72
    assert 0.09 < types["SMS"] / sms < 0.11
    assert 0.18 < (sum(types.values()) - sms) / sms < 0.22


@pytest.mark.slow
def test_they_look_like_highlevels_and_are_older_than_the_world() -> None:
    youngest_contact = list(synthetic_contacts("here", 100_000))[-1].added
    for message in (message for messages in of_contacts(5, 300) for message in messages):
        assert re.fullmatch("[A-Za-z0-9]{20}", message.id)
        assert youngest_contact < message.added <= message.updated < loaded_ms
        assert message.body or message.attachments or message.type == "TYPE_CALL"
        assert (message.direction == "inbound") == (message.source is None)


def test_they_come_in_order_and_their_ids_are_unique() -> None:
    by_contact = of_contacts(10)
    ids = [message.id for messages in by_contact for message in messages]

    assert len(ids) == len(set(ids))
    assert all(messages == sorted(messages, key=lambda message: (message.added, message.id)) for messages in by_contact)
    assert {1} == {len({message.conversation for message in messages}) for messages in by_contact if messages}


def test_some_share_their_millisecond_and_campaigns_reach_many_at_once() -> None:
    by_contact = of_contacts(10)
    tied = sum(message.added == other.added for messages in by_contact for message, other in pairwise(messages))
    campaigns = Counter(
        message.added for messages in by_contact for message in messages if message.type == "TYPE_CAMPAIGN_SMS"
    )

    assert 0.05 < tied / sum(map(len, by_contact)) < 0.15
    assert set(campaign_times_ms) == campaigns.keys()
    assert min(campaigns.values()) > 50


@pytest.mark.parametrize("mean", [-1, 1_001, float("nan")])
def test_a_mean_out_of_range_is_refused(mean: float) -> None:
    with pytest.raises(ValueError, match=r"^messages: "):
        Directory(messages=mean)
