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


def everyone(mean: float, n: int = 2_000) -> list[list[StoredMessage]]:
    return [synthetic_messages("here", f"contact{number}", mean) for number in range(n)]


def test_a_seed_a_location_and_a_contact_always_give_the_same_messages() -> None:
    assert synthetic_messages("here", "c", 50, 1) == synthetic_messages("here", "c", 50, 1) != []
    others = [
        *synthetic_messages("here", "c", 50, 2),
        *synthetic_messages("there", "c", 50, 1),
        *synthetic_messages("here", "d", 50, 1),
    ]
    assert not {one.id for one in synthetic_messages("here", "c", 50, 1)} & {one.id for one in others}


def test_a_location_holds_what_its_contacts_said() -> None:
    """The judge makes them in its own process, from the contacts' ids."""
    directory = Directory(seed=3, auto_contacts=50, messages=4)
    expected = [
        one for contact in synthetic_contacts("here", 50, 3) for one in synthetic_messages("here", contact.id, 4, 3)
    ]

    assert sorted(expected) == sorted(directory.location("here").history)


def test_the_mean_is_of_what_the_sms_channel_shows() -> None:
    said = everyone(5)
    shown = [sum(is_exported(one.type, "SMS") for one in of_one) for of_one in said]

    assert 4.6 < sum(shown) / len(shown) < 5.4
    assert 250 < shown.count(0) < 420  # a sixth
    assert max(shown) > 25
    assert [] == synthetic_messages("here", "c", 0)


def test_all_types_occur_in_their_shares_and_both_spellings() -> None:
    types = Counter(one.type for of_one in everyone(10) for one in of_one)
    sms = sum(types[name] for name in sms_type_shares)

    assert {*sms_type_shares, *other_type_shares} == types.keys()
    assert 0.68 < types["TYPE_SMS"] / sms < 0.72
    assert 0.09 < types["SMS"] / sms < 0.11
    assert 0.18 < (sum(types.values()) - sms) / sms < 0.22


@pytest.mark.slow
def test_they_look_like_highlevels_and_are_older_than_the_world() -> None:
    youngest_contact = list(synthetic_contacts("here", 100_000))[-1].added
    for one in (one for of_one in everyone(5, 300) for one in of_one):
        assert re.fullmatch("[A-Za-z0-9]{20}", one.id)
        assert youngest_contact < one.added <= one.updated < loaded_ms
        assert one.body or one.attachments or one.type == "TYPE_CALL"
        assert (one.direction == "inbound") == (one.source is None)


def test_they_come_in_order_and_their_ids_are_their_own() -> None:
    said = everyone(10)
    ids = [one.id for of_one in said for one in of_one]

    assert len(ids) == len(set(ids))
    assert all(of_one == sorted(of_one, key=lambda one: (one.added, one.id)) for of_one in said)
    assert {1} == {len({one.conversation for one in of_one}) for of_one in said if of_one}


def test_some_share_their_millisecond_and_campaigns_reach_many_at_once() -> None:
    said = everyone(10)
    tied = sum(one.added == other.added for of_one in said for one, other in pairwise(of_one))
    campaigns = Counter(one.added for of_one in said for one in of_one if one.type == "TYPE_CAMPAIGN_SMS")

    assert 0.05 < tied / sum(map(len, said)) < 0.15
    assert set(campaign_times_ms) == campaigns.keys()
    assert min(campaigns.values()) > 50


@pytest.mark.parametrize("mean", [-1, 1_001, float("nan")])
def test_a_mean_out_of_range_is_refused(mean: float) -> None:
    with pytest.raises(ValueError, match=r"^messages: "):
        Directory(messages=mean)
