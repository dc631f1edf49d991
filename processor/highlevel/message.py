"""HighLevel's message → ours: one shape, whatever brought it (contract.md §5.4, DESIGN §3 `lead.message.imported`).

Only the SMS family is kept; a type that nobody knows yet is kept as data. No field is promised: absent, null and what is
of another type count as unknown.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from processor.highlevel.contact import id_form, moment, short_text

body_limit: Final = 64 * 1024  # bytes as UTF-8 (DESIGN §3); a longer one is cut
attachments_limit: Final = 50
other_families: Final = frozenset(  # contract.md §5.4 and the enum of messageType: known, and none of the SMS family
    f"TYPE_{name}"
    for name in (
        *("CALL", "EMAIL", "WEBCHAT", "VOICEMAIL", "GMB", "REVIEW", "FACEBOOK", "INSTAGRAM", "WHATSAPP", "TIKTOK"),
        *("CAMPAIGN_CALL", "CAMPAIGN_EMAIL", "CAMPAIGN_VOICEMAIL", "CAMPAIGN_FACEBOOK", "CAMPAIGN_MANUAL_CALL"),
        *("CAMPAIGN_GMB", "CUSTOM_CALL", "CUSTOM_EMAIL", "CUSTOM_PROVIDER_EMAIL", "IVR_CALL", "LIVE_CHAT"),
        *("LIVE_CHAT_INFO_MESSAGE", "FACEBOOK_COMMENT", "INSTAGRAM_COMMENT", "TIKTOK_COMMENT", "INTERNAL_COMMENT"),
        "FORM_SUBMISSION",
    )
)
activity: Final = "TYPE_ACTIVITY_"


@dataclass(frozen=True, slots=True, repr=False)
class Message:
    """A message as one payload shows it. `sent` in ms since 1970."""

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
        return f"Message({self.id})"  # the rest is personal


def from_export(payload: Mapping[str, object], location: str) -> Message | None:
    """A message of an export. None: another family or location, or without what it takes to tell it from others."""
    identity, contact, sent = payload.get("id"), payload.get("contactId"), moment(payload.get("dateAdded"))
    if not (isinstance(identity, str) and id_form.fullmatch(identity)):
        return None
    if not (isinstance(contact, str) and id_form.fullmatch(contact)) or sent is None:
        return None
    if payload.get("locationId") not in (None, location):
        return None
    kind = spelled(short_text(payload.get("messageType")))
    if kind in other_families or (kind or "").startswith(activity):
        return None
    attachments = payload.get("attachments")
    urls = [url for one in attachments if (url := short_text(one))] if isinstance(attachments, list) else None
    return Message(
        identity,
        contact,
        sent,
        short_text(payload.get("direction")),
        kind,
        cut(payload.get("body")),
        short_text(payload.get("status")),
        short_text(payload.get("conversationId")),
        None if urls is None else tuple(urls[:attachments_limit]),
        short_text(payload.get("source")),
        short_text(payload.get("userId")),
    )


def spelled(kind: str | None) -> str | None:
    """In HighLevel's TYPE_ spelling, which its own example and its webhooks leave out (contract.md §5.4, §9)."""
    if kind is None or kind.startswith("TYPE_"):
        return kind
    return f"TYPE_{kind.upper()}"


def cut(body: object) -> str | None:
    """At most 64 KiB, whole characters; unknown when it is no text or holds none."""
    if not isinstance(body, str) or not body:
        return None
    said = body.encode("utf-8", "replace")
    return said[:body_limit].decode("utf-8", "ignore") or None
