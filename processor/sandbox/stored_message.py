"""Read a message and show it in the shape of HighLevel's export (contract.md §5.4). Its type decides its channel."""

from collections.abc import Mapping
from functools import cache
from hashlib import blake2b
from typing import Any, Final, Literal, NamedTuple

from processor.sandbox.json_values import iso_time, optional_text, optional_time
from processor.sandbox.stored_contact import ExtraFields
from processor.sandbox.synthetic_contacts import id_from_bytes

MessageChannel = Literal["Call", "SMS", "Email", "WhatsApp", "Instagram", "Facebook"]


class StoredMessage(NamedTuple):
    """Hold a message. It is a tuple because a million messages must fit in memory."""

    id: str
    location: str
    contact: str
    conversation: str
    added: int  # ms since 1970
    updated: int
    type: str  # as HighLevel shows it: `TYPE_SMS` or `SMS`
    direction: str
    body: str | None = None
    status: str | None = None
    source: str | None = None
    attachments: tuple[str, ...] = ()
    extra: ExtraFields | None = None  # further fields, kept as given


message_texts: Final = {
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
type_numbers: Final = {f"TYPE_{name}": number for number, name in enumerate(_numbered.split(), 1)}
unknown_type_number: Final = 99  # of any other type: its number isn't documented
never_exported: Final = frozenset(("TYPE_SMS_REVIEW_REQUEST", "TYPE_GROUP_SMS"))  # contract.md §5.1
channel_marks: Final[tuple[tuple[str, MessageChannel], ...]] = (
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
def canonical_type(type: str) -> str:
    """Return the spelling with TYPE_. Both spellings are one type: the spec's example lacks the enum's TYPE_."""
    return type if type.startswith("TYPE_") else f"TYPE_{type.upper()}"


@cache
def channel_of(type: str) -> MessageChannel | None:
    """Return the channel that selects a type. Return None if only an export without a channel does (web chats, activities).

    The SMS channel's members aren't documented (contract.md §5.4): here every SMS type is one, also a type still unknown.
    """
    name = canonical_type(type)
    if name.startswith("TYPE_ACTIVITY_"):
        return None
    return next((found for mark, found in channel_marks if mark in name), None)


def is_exported(type: str, wanted: MessageChannel | None) -> bool:
    """Return True if an export shows the type. An export without a channel shows all but e-mails (contract.md §5.1)."""
    if canonical_type(type) in never_exported:
        return False
    return channel_of(type) == wanted if wanted else channel_of(type) != "Email"


def default_conversation(location: str, contact: str) -> str:
    """Return the contact's conversation for messages that name none."""
    return id_from_bytes(blake2b(f"conversation {location} {contact}".encode(), digest_size=20).digest())


def parse_stored_message(location: str, shown: Mapping[str, Any], now_ms: int, id: str) -> StoredMessage:
    """Return a message given in export's shape. A `contactId` alone makes an inbound SMS of now.

    Raise ValueError that names the wrong field.
    """
    fields = {ours: optional_text("message", shown, theirs) for theirs, ours in message_texts.items()}
    contact = fields.pop("contact")
    if not contact:
        raise ValueError("message: contactId: missing")
    attachments = shown.get("attachments") or []
    if not isinstance(attachments, list) or not all(isinstance(url, str) for url in attachments):
        raise ValueError("message: attachments: not a list of strings")
    added = optional_time("message", shown, "dateAdded", now_ms)
    known = {*message_texts, "locationId", "dateAdded", "dateUpdated", "attachments"}
    return StoredMessage(
        id=fields["id"] or id,
        location=location,
        contact=contact,
        conversation=fields["conversation"] or default_conversation(location, contact),
        added=added,
        updated=optional_time("message", shown, "dateUpdated", max(added, now_ms)),
        type=fields["type"] or "TYPE_SMS",
        direction=fields["direction"] or "inbound",
        body=fields["body"],
        status=fields["status"],
        source=fields["source"],
        attachments=tuple(attachments),
        extra={name: value for name, value in shown.items() if name not in known} or None,
    )


def message_json(message: StoredMessage) -> dict[str, Any]:
    """Return export's shape: an unknown body, status or source is absent; further fields are as given."""
    shown: dict[str, Any] = {
        "id": message.id,
        "type": type_numbers.get(canonical_type(message.type), unknown_type_number),
        "messageType": message.type,
        "locationId": message.location,
        "contactId": message.contact,
        "conversationId": message.conversation,
        "dateAdded": iso_time(message.added),
        "dateUpdated": iso_time(message.updated),
        "direction": message.direction,
        "contentType": "text/plain",
        "attachments": message.attachments,
    }
    known = {"body": message.body, "status": message.status, "source": message.source}
    shown |= {name: value for name, value in known.items() if value is not None}
    return shown | dict(message.extra or {})
