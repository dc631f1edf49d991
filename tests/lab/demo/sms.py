"""What was said by SMS to and by the contacts of a case: as HighLevel exports it, and as `lead.messages` must tell it (DESIGN §3).

Among it what must not be imported: calls and e-mails, conversations of contacts that are gone, of contacts that are no
lead's, and of leads that nobody synced.
"""

from collections.abc import Mapping
from dataclasses import replace
from random import Random
from typing import Any, Final

from processor.sandbox.synthetic_messages import message_bodies, message_sources, outbound_statuses, picture_urls
from tests.lab.demo.truth import Case, Payload, Sms
from tests.lab.demo.wire import moment

types: Final = {
    "TYPE_SMS": 70,
    "SMS": 10,
    "TYPE_CAMPAIGN_SMS": 6,
    "TYPE_CUSTOM_SMS": 5,
    "TYPE_SMS_REACTION": 3,
    "TYPE_RCS": 3,
    "TYPE_SMS_SOMETHING_NEW": 3,
}  # of the SMS family, in HighLevel's two spellings and one that nobody knows yet; and their shares
other_types: Final = ("TYPE_CALL", "TYPE_EMAIL", "TYPE_ACTIVITY_CONTACT", "TYPE_SMS_REVIEW_REQUEST")
others_share: Final = 0.15  # so many of these for each SMS, on top
said_within_ms: Final = 300 * 86_400_000
lately_ms: Final = 600_000  # a checkpoint overlaps by this
lately_share: Final = 0.1  # of the messages: so new
together_share: Final = 0.15  # in the same millisecond as the one before
pictured_share: Final = 0.05
long_share: Final = 0.005  # of the bodies: too long
body_limit: Final = 65_536  # bytes as UTF-8; a longer one is cut (DESIGN §3)
of_a_sync: Final = 6  # messages at most
of_anybody: Final = 5
talking_share: Final = 0.1  # of the contacts that no Sync is about


def said(case: Case, now_ms: int, seed: int, synced: bool = False, at_least: int = 0) -> Case:
    """With what was said to and by its contacts, be they gone; more where somebody asks for it."""
    ids = [case.data.get("contact_id"), *(contact["id"] for contact in (*case.contacts, *case.late))]
    contacts = dict.fromkeys(str(id) for id in ids if id)
    sms: list[Sms] = []
    for contact in contacts:
        draw = Random(f"{seed} sms {contact}")
        count = draw.randint(at_least, of_a_sync) if synced else of_somebody(draw)
        sms += conversation(case.location, contact, count, now_ms, draw)
    return replace(case, sms=tuple(sms))


def overheard(location: str, contact: str, now_ms: int, seed: int) -> list[Sms]:
    """Of a contact that is no lead's."""
    draw = Random(f"{seed} sms {contact}")
    return conversation(location, contact, of_somebody(draw), now_ms, draw)


def of_somebody(draw: Random) -> int:
    return draw.randint(1, of_anybody) if draw.random() < talking_share else 0


def conversation(location: str, contact: str, count: int, now_ms: int, draw: Random) -> list[Sms]:
    """So many SMS, and now and then something else among them; in no order."""
    whose = contact.removeprefix("contact-")
    made: list[Sms] = []
    at = now_ms
    for _ in range(count):
        other = [draw.choice(other_types)] if draw.random() < others_share else []
        for type in (*draw.choices(list(types), list(types.values())), *other):
            if not made or draw.random() >= together_share:
                at = now_ms - 1 - draw.randrange(lately_ms if draw.random() < lately_share else said_within_ms)
            ids = {"locationId": location, "contactId": contact, "conversationId": f"conversation-{whose}"}
            shown = ids | message(draw, f"message-{whose}-{len(made) + 1}", type, at)
            made.append(Sms(contact, shown, None if type in other_types else imported(shown)))
    draw.shuffle(made)
    return made


def message(draw: Random, id: str, type: str, at: int) -> dict[str, Any]:
    """In export's shape (contract.md §5.4); an inbound one has no source, a picture perhaps no words."""
    inbound = draw.random() < 0.45
    pictures = list(picture_urls) if draw.random() < pictured_share else []
    shown: dict[str, Any] = {
        "id": id,
        "messageType": type,
        "dateAdded": moment(at),
        "dateUpdated": moment(at + draw.randrange(5_000)),
        "direction": "inbound" if inbound else "outbound",
        "status": "delivered" if inbound else draw.choice(outbound_statuses),
        "attachments": pictures,
    }
    if not inbound:
        shown["source"] = draw.choice(message_sources)
        if shown["source"] == "app":
            shown["userId"] = f"user-{draw.randrange(5)}"
    if not (pictures and inbound):
        body = draw.choice(message_bodies)
        shown["body"] = body * (body_limit // len(body) + 1) if draw.random() < long_share else body
    return shown


def imported(shown: Mapping[str, Any]) -> Payload:
    """`message` of `lead.message.imported`: absent is null."""
    body, type = shown.get("body"), str(shown["messageType"])
    return {
        "id": shown["id"],
        "direction": shown["direction"],
        "type": type if type.startswith("TYPE_") else f"TYPE_{type}",
        "body": body.encode()[:body_limit].decode(errors="ignore") if body else None,
        "status": shown["status"],
        "sent_at": shown["dateAdded"],
        "conversation_id": shown["conversationId"],
        "attachments": shown["attachments"],
        "source": shown.get("source"),
        "user_id": shown.get("userId"),
    }
