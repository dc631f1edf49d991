"""Make synthetic messages of a contact, the same for a seed, a location and a contact. They are no real data.

They hold traps: two spellings of a type, unknown types, campaigns that reach all contacts in the same millisecond.
"""

from bisect import bisect
from itertools import accumulate
from math import log
from random import Random
from typing import Any, Final

from processor.sandbox.stored_message import StoredMessage, default_conversation
from processor.sandbox.synthetic_contacts import id_from_bytes

first_message_ms: Final = 1_735_689_600_000  # 2025-01-01: synthetic contacts are older
messages_span_ms: Final = 364 * 86_400_000
campaign_times_ms: Final = tuple(
    first_message_ms + number * 30 * 86_400_000 + 54_000_000 for number in range(12)
)  # 15:00 UTC
max_mean: Final = 1_000
tied_share: Final = 0.1  # of the messages: in the millisecond of the message before
other_share: Final = 0.2  # messages for each SMS, on top, that channel=SMS doesn't show

sms_type_shares: Final = {
    "TYPE_SMS": 0.7,
    "SMS": 0.1,
    "TYPE_CAMPAIGN_SMS": 0.06,
    "TYPE_CUSTOM_SMS": 0.04,
    "TYPE_CUSTOM_PROVIDER_SMS": 0.03,
    "TYPE_SMS_REACTION": 0.03,
    "TYPE_RCS": 0.02,
    "TYPE_SMS_SOMETHING_NEW": 0.02,
}
other_type_shares: Final = {
    "TYPE_CALL": 0.4,
    "TYPE_EMAIL": 0.4,
    "TYPE_ACTIVITY_OPPORTUNITY": 0.1,
    "TYPE_SMS_REVIEW_REQUEST": 0.1,
}
_openings: Final = ("Hi there,", "Hello!", "Thanks,", "Sorry,", "Good morning –", "Hey 👋", "¡Hola!", "Quick note:")
_middles: Final = (
    "about the quote",
    "about Tuesday",
    "on the invoice",
    "re the roof",
    "on your order",
    "about the visit",
)
_endings: Final = [
    "can you call back?",
    "all is set.",
    "see you then.",
    "is 3 pm fine?",
    "ok\nSTOP",
    "we’ll be in touch.",
]
message_bodies: Final = tuple(
    f"{first} {middle} {last}" for first in _openings for middle in _middles for last in _endings
)
outbound_statuses: Final = ("delivered", "delivered", "delivered", "sent", "read", "failed")
message_sources: Final = ("app", "app", "workflow", "api", "bulk_actions")
picture_urls: Final = ("https://files.example.com/picture.png",)
failed_delivery: Final = {"error": "Error 30005 - Unknown destination handset"}
_users: Final = tuple({"userId": f"user{number:016d}"} for number in range(5))
_call_details: Final = tuple(
    {"meta": {"callDuration": f"{seconds}", "callStatus": "completed"}} for seconds in (4, 35, 61, 300, 901)
)


def _scale(shares: dict[str, float]) -> tuple[list[str], list[float]]:
    return list(shares), list(accumulate(shares.values()))[:-1]


_sms, _others = _scale(sms_type_shares), _scale(other_type_shares)


def synthetic_messages(location: str, contact: str, mean: float, seed: int = 0) -> list[StoredMessage]:
    """Return messages by time and id. Contacts have `mean` SMS on average, geometrically spread: of 5, a sixth have none.

    Raise ValueError if the mean is out of range.
    """
    if not 0 <= mean <= max_mean:
        raise ValueError(f"messages: not a number from 0 to {max_mean}")
    if not mean:
        return []
    draw = Random(f"{seed} messages {location} {contact}")
    conversation, made = default_conversation(location, contact), list[StoredMessage]()
    at = first_message_ms
    for _ in range(int(log(1 - draw.random()) / log(mean / (1 + mean)))):
        for names, scale in (_sms, _others) if draw.random() < other_share else (_sms,):
            type = names[bisect(scale, draw.random())]
            if type == "TYPE_CAMPAIGN_SMS":
                at = draw.choice(campaign_times_ms)
            elif draw.random() >= tied_share or not made:
                at = first_message_ms + int(draw.random() * messages_span_ms)
            made.append(_message(draw, location, contact, conversation, at, type))
    made.sort(key=lambda message: (message.added, message.id))
    return made


def _message(draw: Random, location: str, contact: str, conversation: str, at: int, type: str) -> StoredMessage:
    id, drawn = id_from_bytes(draw.randbytes(20)), draw.random()
    campaign = type == "TYPE_CAMPAIGN_SMS"
    inbound = drawn < 0.45 and not campaign
    if inbound:
        status, source = "delivered", None  # an inbound message has no source (contract.md §5.1)
    else:
        status = outbound_statuses[int(drawn * 97) % len(outbound_statuses)]
        source = "campaign" if campaign else message_sources[int(drawn * 89) % len(message_sources)]
    extra: dict[str, Any] | None = None
    body: str | None = message_bodies[int(draw.random() * len(message_bodies))]
    pictured = drawn * 50 % 1 < 0.03
    if type == "TYPE_CALL":
        extra, body, pictured = _call_details[int(drawn * 83) % len(_call_details)], None, False
    elif status == "failed":
        extra = failed_delivery
    elif source == "app":
        extra = _users[int(drawn * 79) % len(_users)]
    return StoredMessage(
        id,
        location,
        contact,
        conversation,
        at,
        at + int(drawn * 5_000),
        type,
        "inbound" if inbound else "outbound",
        None if pictured and inbound else body,
        status,
        source,
        picture_urls if pictured else (),
        extra,
    )
