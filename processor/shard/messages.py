"""Messages: what an export shows becomes `lead.message.imported`, once a lead and message id (DESIGN §7.6).

Seen is what is older than the lead's checkpoint less its overlap, or among the ids within it: so state stays small.
"""

from collections.abc import Iterable
from typing import Final

from processor.events.fields import rfc3339
from processor.highlevel.messages import Message
from processor.shard.lead import Checkpoint, Lead, Open
from processor.shard.notes import Note
from processor.shard.result import emit
from processor.shard.state import Changes

overlap_ms: Final = 600_000  # messages may appear late, or out of order
recent_at_most: Final = 1_000  # ids kept; with more in ten minutes the overlap shrinks


def since(lead: Lead, contact: str) -> int | None:
    """From when on a contact's messages are wanted; None: from the start, at first link."""
    checkpoint = lead.checkpoints.get(contact)
    return None if checkpoint is None or not checkpoint.at else max(0, checkpoint.at - overlap_ms)


def take_in(changes: Changes, lead: Lead, work: Open, contact: str, messages: Iterable[Message], now: int) -> int:
    """Publish those that the lead has not had. Returns how many they were."""
    checkpoint = lead.checkpoint(contact)
    fresh = [one for one in messages if not seen(checkpoint, one)]
    for message in fresh:
        remember(checkpoint, message)
        publish(changes, lead, message, now)
    if fresh:
        work.imported += len(fresh)
        work.untold += len(fresh)
        changes.notes.append(Note("imported", {"location": lead.location, "lead": lead.id, "count": len(fresh)}))
    return len(fresh)


def seen(checkpoint: Checkpoint, message: Message) -> bool:
    return message.sent < checkpoint.floor or message.id in checkpoint.recent


def remember(checkpoint: Checkpoint, message: Message) -> None:
    checkpoint.recent[message.id] = message.sent
    if message.sent > checkpoint.at:
        checkpoint.at = message.sent
        checkpoint.floor = max(checkpoint.floor, message.sent - overlap_ms)
    kept = {name: sent for name, sent in checkpoint.recent.items() if sent >= checkpoint.floor}
    if len(kept) > recent_at_most:
        checkpoint.floor = sorted(kept.values())[-recent_at_most]
        kept = {name: sent for name, sent in kept.items() if sent >= checkpoint.floor}
    checkpoint.recent = kept


def publish(changes: Changes, lead: Lead, message: Message, now: int) -> None:
    shown: dict[str, object] = {
        "id": message.id,
        "direction": message.direction,
        "type": message.type,
        "body": message.body,
        "status": message.status,
        "sent_at": rfc3339(message.sent),
        "conversation_id": message.conversation,
        "attachments": None if message.attachments is None else list(message.attachments),
        "source": message.source,
        "user_id": message.user,
    }
    data: dict[str, object] = {"location_id": lead.location, "lead_id": lead.id}
    data |= {"contact_id": message.contact, "message": shown}
    unique = f"{lead.id}:{message.id}"
    emit(changes, "lead.messages", "lead.message.imported", lead.location, lead.id, unique, data, now)
