"""A message, and the shape in which HighLevel exports it (contract.md §5.4). Its type decides which channel shows it."""

from collections.abc import Mapping
from functools import cache
from hashlib import blake2b
from typing import Any, Final, Literal, NamedTuple

from processor.sandbox.contacts import identifier
from processor.sandbox.shapes import Extra, iso, milliseconds

Channel = Literal["Call", "SMS", "Email", "WhatsApp", "Instagram", "Facebook"]


class Message(NamedTuple):
    """A tuple: a million of them must fit in memory."""

    id: str
    location: str
    contact: str
    conversation: str
    added: int  # ms since 1970
    updated: int
    type: str  # as HighLevel shows it, be it `TYPE_SMS` or `SMS`
    direction: str
    body: str | None = None
    status: str | None = None
    source: str | None = None
    attachments: tuple[str, ...] = ()
    extra: Extra | None = None  # further fields, kept as given


texts: Final = {
    "id": "id",
    "contactId": "contact",
    "conversationId": "conversation",
    "messageType": "type",
    "direction": "direction",
    "body": "body",
    "status": "status",
    "source": "source",
}
_numbered = (
    "CALL SMS EMAIL SMS_REVIEW_REQUEST WEBCHAT SMS_NO_SHOW_REQUEST CAMPAIGN_SMS CAMPAIGN_CALL CAMPAIGN_EMAIL "
    "CAMPAIGN_VOICEMAIL FACEBOOK CAMPAIGN_FACEBOOK CAMPAIGN_MANUAL_CALL CAMPAIGN_MANUAL_SMS GMB CAMPAIGN_GMB REVIEW "
    "INSTAGRAM WHATSAPP CUSTOM_SMS CUSTOM_EMAIL CUSTOM_PROVIDER_SMS CUSTOM_PROVIDER_EMAIL IVR_CALL"
)  # in the order of the spec's enum: 1 call, 2 SMS, 10 voicemail, 22 custom-provider SMS
numbers: Final = {f"TYPE_{name}": number for number, name in enumerate(_numbered.split(), 1)}
unnumbered: Final = 99  # any other type: nothing says which number it has
never_exported: Final = frozenset(("TYPE_SMS_REVIEW_REQUEST", "TYPE_GROUP_SMS"))  # contract.md §5.1
marks: Final[tuple[tuple[str, Channel], ...]] = (
    ("SMS", "SMS"),
    ("RCS", "SMS"),
    ("CALL", "Call"),
    ("VOICEMAIL", "Call"),
    ("EMAIL", "Email"),
    ("WHATSAPP", "WhatsApp"),
    ("INSTAGRAM", "Instagram"),
    ("FACEBOOK", "Facebook"),
)


@cache
def spelled(type: str) -> str:
    """Both spellings are one type: the spec's example lacks the enum's TYPE_."""
    return type if type.startswith("TYPE_") else f"TYPE_{type.upper()}"


@cache
def channel(type: str) -> Channel | None:
    """Which `channel` selects it; None: only an export without one (web chats, activities).

    Not documented for the SMS family's members (contract.md §5.4): here all of them are in it, also those nobody knows yet.
    """
    name = spelled(type)
    if name.startswith("TYPE_ACTIVITY_"):
        return None
    return next((found for mark, found in marks if mark in name), None)


def exported(type: str, wanted: Channel | None) -> bool:
    """Without a channel: all but e-mails (contract.md §5.1)."""
    if spelled(type) in never_exported:
        return False
    return channel(type) == wanted if wanted else channel(type) != "Email"


def conversation(location: str, contact: str) -> str:
    """The one that a contact has, where a message doesn't name another."""
    return identifier(blake2b(f"conversation {location} {contact}".encode(), digest_size=20).digest())


def parse(location: str, shown: Mapping[str, Any], now_ms: int, id: str) -> Message:
    """A message in export's shape; ValueError names the field. All but `contactId` may be missing: an inbound SMS of now."""
    fields = {ours: _text(shown, theirs) for theirs, ours in texts.items()}
    contact = fields.pop("contact")
    if not contact:
        raise ValueError("message: contactId: missing")
    attachments = shown.get("attachments") or []
    if not isinstance(attachments, list) or not all(isinstance(one, str) for one in attachments):
        raise ValueError("message: attachments: not a list of strings")
    added = _time(shown, "dateAdded", now_ms)
    known = {*texts, "locationId", "dateAdded", "dateUpdated", "attachments"}
    return Message(
        id=fields["id"] or id,
        location=location,
        contact=contact,
        conversation=fields["conversation"] or conversation(location, contact),
        added=added,
        updated=_time(shown, "dateUpdated", max(added, now_ms)),
        type=fields["type"] or "TYPE_SMS",
        direction=fields["direction"] or "inbound",
        body=fields["body"],
        status=fields["status"],
        source=fields["source"],
        attachments=tuple(attachments),
        extra={name: value for name, value in shown.items() if name not in known} or None,
    )


def full(message: Message) -> dict[str, Any]:
    """As export shows it: an unknown body, status or source is absent; further fields as they were given."""
    shown: dict[str, Any] = {
        "id": message.id,
        "type": numbers.get(spelled(message.type), unnumbered),
        "messageType": message.type,
        "locationId": message.location,
        "contactId": message.contact,
        "conversationId": message.conversation,
        "dateAdded": iso(message.added),
        "dateUpdated": iso(message.updated),
        "direction": message.direction,
        "contentType": "text/plain",
        "attachments": message.attachments,
    }
    if message.body is not None:
        shown["body"] = message.body
    if message.status is not None:
        shown["status"] = message.status
    if message.source is not None:
        shown["source"] = message.source
    if message.extra:
        shown.update(message.extra)
    return shown


def _text(shown: Mapping[str, Any], name: str) -> str | None:
    value = shown.get(name)
    if value is not None and not isinstance(value, str):
        raise ValueError(f"message: {name}: not a string")
    return value


def _time(shown: Mapping[str, Any], name: str, otherwise: int) -> int:
    value = _text(shown, name)
    try:
        return milliseconds(value) if value else otherwise
    except ValueError:
        raise ValueError(f"message: {name}: not an ISO 8601 time") from None
