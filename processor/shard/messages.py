"""Messages: what an export shows becomes `lead.message.imported`, once a lead and message id (DESIGN §7.6).

Seen is what is older than the lead's checkpoint less its overlap, or among the ids within it: so state stays small.
"""

from collections.abc import Iterable
from typing import Final

from processor.events.fields import rfc3339
from processor.highlevel.message import Message
from processor.shard.lead import Checkpoint, Lead, Open
from processor.shard.result import emit
from processor.shard.state import Changes
from processor.telemetry.catalogue import MessagesImported

overlap_ms: Final = 600_000  # messages may appear late, or out of order
recent_at_most: Final = 1_000  # ids kept; with more in ten minutes the overlap shrinks


def since(lead: Lead, contact: str) -> int | None:
    """From when on a contact's messages are wanted; None: from the start, at first link."""
    checkpoint = lead.checkpoints.get(contact)
    return None if checkpoint is None or not checkpoint.at else max(0, checkpoint.at - overlap_ms)


def take_in(changes: Changes, lead: Lead, work: Open, contact: str, messages: Iterable[Message], now: int) -> int:
    """Publish those that the lead has not had. Returns how many they were."""
    checkpoint = lead.checkpoint(contact)
    fresh = 0
    for message in messages:
        if not seen(checkpoint, message):
            checkpoint.recent[message.id] = message.sent
            publish(changes, lead, message, now)
            fresh += 1
    if fresh:
        move(checkpoint)
        work.imported += fresh
        work.untold += fresh
        changes.notes.append(MessagesImported(lead.location, lead.id, fresh))
    return fresh


def seen(checkpoint: Checkpoint, message: Message) -> bool:
    return message.sent < checkpoint.floor or message.id in checkpoint.recent


def move(checkpoint: Checkpoint) -> None:
    """On to the newest message; of the ids those within the overlap are kept."""
    sent = sorted(checkpoint.recent.values())
    if sent[-1] > checkpoint.at:
        checkpoint.at = sent[-1]
        checkpoint.floor = max(checkpoint.floor, checkpoint.at - overlap_ms)
    kept = [one for one in sent if one >= checkpoint.floor]
    if len(kept) > recent_at_most:
        checkpoint.floor = kept[-recent_at_most]
    checkpoint.recent = {name: one for name, one in checkpoint.recent.items() if one >= checkpoint.floor}


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
