"""Messages of HighLevel as values, in one shape for every source (contract.md §5.4, DESIGN §3 `lead.message.imported`).

Only the SMS family is kept; a type that no document names is kept as data. No field is promised: absent, null and values
of another type count as unknown.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from processor.highlevel.contact import id_form, parse_time, short_text

message_body_limit: Final = 64 * 1024  # bytes as UTF-8 (DESIGN §3); a longer one is cut
attachments_limit: Final = 50
other_families: Final = frozenset(  # contract.md §5.4 and the enum of messageType: known, and not of the SMS family
    f"TYPE_{name}"
    for name in (
        *("CALL", "EMAIL", "WEBCHAT", "VOICEMAIL", "GMB", "REVIEW", "FACEBOOK", "INSTAGRAM", "WHATSAPP", "TIKTOK"),
        *("CAMPAIGN_CALL", "CAMPAIGN_EMAIL", "CAMPAIGN_VOICEMAIL", "CAMPAIGN_FACEBOOK", "CAMPAIGN_MANUAL_CALL"),
        *("CAMPAIGN_GMB", "CUSTOM_CALL", "CUSTOM_EMAIL", "CUSTOM_PROVIDER_EMAIL", "IVR_CALL", "LIVE_CHAT"),
        *("LIVE_CHAT_INFO_MESSAGE", "FACEBOOK_COMMENT", "INSTAGRAM_COMMENT", "TIKTOK_COMMENT", "INTERNAL_COMMENT"),
        "FORM_SUBMISSION",
    )
)
activity_prefix: Final = "TYPE_ACTIVITY_"


@dataclass(frozen=True, slots=True, repr=False)
class SmsMessage:
    """A message as one payload shows it. `sent` is ms since 1970."""

    id: str
    contact: str
    sent: int
    direction: str | None
    type: str | None
    body: str | None
    status: str | None
    conversation: str | None
    attachments: tuple[str, ...] | None
    source: str | None
    user: str | None

    def __repr__(self) -> str:
        return f"SmsMessage({self.id})"  # the rest is personal


def from_export(payload: Mapping[str, object], location: str) -> SmsMessage | None:
    """Return a message of an export. None: it is of another family or location, or lacks its id, contact or time."""
    identity, contact, sent = payload.get("id"), payload.get("contactId"), parse_time(payload.get("dateAdded"))
    if not (isinstance(identity, str) and id_form.fullmatch(identity)):
        return None
    if not (isinstance(contact, str) and id_form.fullmatch(contact)) or sent is None:
        return None
    if payload.get("locationId") not in (None, location):
        return None
    kind = _type_name(short_text(payload.get("messageType")))
    if kind in other_families or (kind or "").startswith(activity_prefix):
        return None
    attachments = payload.get("attachments")
    urls = [url for item in attachments if (url := short_text(item))] if isinstance(attachments, list) else None
    return SmsMessage(
        identity,
        contact,
        sent,
        short_text(payload.get("direction")),
        kind,
        _cut_body(payload.get("body")),
        short_text(payload.get("status")),
        short_text(payload.get("conversationId")),
        None if urls is None else tuple(urls[:attachments_limit]),
        short_text(payload.get("source")),
        short_text(payload.get("userId")),
    )


def _type_name(kind: str | None) -> str | None:
    """Return the type with HighLevel's TYPE_ prefix, which its example and webhooks omit (contract.md §5.4, §9)."""
    if kind is None or kind.startswith("TYPE_"):
        return kind
    return f"TYPE_{kind.upper()}"


def _cut_body(body: object) -> str | None:
    """Return at most 64 KiB of the text, in whole characters; None if it is no text or empty."""
    if not isinstance(body, str) or not body:
        return None
    encoded = body.encode("utf-8", "replace")
    return encoded[:message_body_limit].decode("utf-8", "ignore") or None
