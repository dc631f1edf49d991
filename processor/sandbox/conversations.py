"""Synthetic messages of a contact: one seed, one location, one contact, always the same ones. They tell nothing of anybody.

Traps that they hold: two spellings of a type, types nobody knows, campaigns that reach everyone in the same millisecond.
"""

from bisect import bisect
from itertools import accumulate
from math import log
from random import Random
from typing import Any, Final

from processor.sandbox.contacts import identifier
from processor.sandbox.messages import Message, conversation

since_ms: Final = 1_735_689_600_000  # 2025-01-01: synthetic contacts are older
span_ms: Final = 364 * 86_400_000
campaigns_ms: Final = tuple(since_ms + number * 30 * 86_400_000 + 54_000_000 for number in range(12))  # 15:00 UTC
mean_at_most: Final = 1_000
together: Final = 0.1  # of the messages: in the same millisecond as the one before it
others: Final = 0.2  # so many messages for each SMS, on top, that channel=SMS doesn't show

sms_types: Final = {
    "TYPE_SMS": 0.7,
    "SMS": 0.1,
    "TYPE_CAMPAIGN_SMS": 0.06,
    "TYPE_CUSTOM_SMS": 0.04,
    "TYPE_CUSTOM_PROVIDER_SMS": 0.03,
    "TYPE_SMS_REACTION": 0.03,
    "TYPE_RCS": 0.02,
    "TYPE_SMS_SOMETHING_NEW": 0.02,
}  # and their shares
other_types: Final = {
    "TYPE_CALL": 0.4,
    "TYPE_EMAIL": 0.4,
    "TYPE_ACTIVITY_OPPORTUNITY": 0.1,
    "TYPE_SMS_REVIEW_REQUEST": 0.1,
}
openings: Final = ("Hi there,", "Hello!", "Thanks,", "Sorry,", "Good morning –", "Hey 👋", "¡Hola!", "Quick note:")
middles: Final = (
    "about the quote",
    "about Tuesday",
    "on the invoice",
    "re the roof",
    "on your order",
    "about the visit",
)
endings: Final = (
    "can you call back?",
    "all is set.",
    "see you then.",
    "is 3 pm fine?",
    "ok\nSTOP",
    "we’ll be in touch.",
)
bodies: Final = tuple(f"{first} {middle} {last}" for first in openings for middle in middles for last in endings)
outbound_statuses: Final = ("delivered", "delivered", "delivered", "sent", "read", "failed")
sources: Final = ("app", "app", "workflow", "api", "bulk_actions")
picture: Final = ("https://files.example.com/picture.png",)
failure: Final = {"error": "Error 30005 - Unknown destination handset"}
users: Final = tuple({"userId": f"user{number:016d}"} for number in range(5))
calls: Final = tuple(
    {"meta": {"callDuration": f"{seconds}", "callStatus": "completed"}} for seconds in (4, 35, 61, 300, 901)
)


def _scale(shares: dict[str, float]) -> tuple[list[str], list[float]]:
    return list(shares), list(accumulate(shares.values()))[:-1]


_sms, _others = _scale(sms_types), _scale(other_types)


def synthetic(location: str, contact: str, mean: float, seed: int = 0) -> list[Message]:
    """By time and id; over many contacts `mean` SMS each, geometrically spread: of 5, a sixth of the contacts have none.

    ValueError: the mean is out of range.
    """
    if not 0 <= mean <= mean_at_most:
        raise ValueError(f"messages: not a number from 0 to {mean_at_most}")
    if not mean:
        return []
    draw = Random(f"{seed} messages {location} {contact}")
    talk, made = conversation(location, contact), list[Message]()
    at = since_ms
    for _ in range(int(log(1 - draw.random()) / log(mean / (1 + mean)))):
        for names, scale in (_sms, _others) if draw.random() < others else (_sms,):
            type = names[bisect(scale, draw.random())]
            if type == "TYPE_CAMPAIGN_SMS":
                at = draw.choice(campaigns_ms)
            elif draw.random() >= together or not made:
                at = since_ms + int(draw.random() * span_ms)
            made.append(_message(draw, location, contact, talk, at, type))
    made.sort(key=lambda message: (message.added, message.id))
    return made


def _message(draw: Random, location: str, contact: str, talk: str, at: int, type: str) -> Message:
    id, drawn = identifier(draw.randbytes(20)), draw.random()
    campaign = type == "TYPE_CAMPAIGN_SMS"
    inbound = drawn < 0.45 and not campaign
    if inbound:
        status, source = "delivered", None  # an inbound one has no source (contract.md §5.1)
    else:
        status = outbound_statuses[int(drawn * 97) % len(outbound_statuses)]
        source = "campaign" if campaign else sources[int(drawn * 89) % len(sources)]
    extra: dict[str, Any] | None = None
    body: str | None = bodies[int(draw.random() * len(bodies))]
    pictured = drawn * 50 % 1 < 0.03
    if type == "TYPE_CALL":
        extra, body, pictured = calls[int(drawn * 83) % len(calls)], None, False
    elif status == "failed":
        extra = failure
    elif source == "app":
        extra = users[int(drawn * 79) % len(users)]
    return Message(
        id,
        location,
        contact,
        talk,
        at,
        at + int(drawn * 5_000),
        type,
        "inbound" if inbound else "outbound",
        None if pictured and inbound else body,
        status,
        source,
        picture if pictured else (),
        extra,
    )
