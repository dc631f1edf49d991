"""Messages that an export shows become `lead.message.imported`, once a lead and message id (DESIGN §7.6)."""

from collections.abc import Iterable

from processor.events.fields import rfc3339
from processor.highlevel.message import SmsMessage
from processor.shard.documents.lead import Lead
from processor.shard.documents.work import LeadWork
from processor.shard.publish import publish_event
from processor.shard.store import UnitOfWork
from processor.telemetry.catalogue import MessagesImported


def import_messages(turn: UnitOfWork, lead: Lead, work: LeadWork, contact: str, messages: Iterable[SmsMessage]) -> int:
    """Publish those messages of a contact's that the lead has not had. Returns how many they were."""
    checkpoint = lead.checkpoint(contact)
    imported = 0
    for message in messages:
        if not checkpoint.has_seen(message):
            checkpoint.add(message)
            publish_message(turn, lead, message)
            imported += 1
    if imported:
        checkpoint.move()
        work.imported += imported
        work.unreported += imported
        turn.telemetry.append(MessagesImported(location=lead.location, lead=lead.id, count=imported))
    return imported


def publish_message(turn: UnitOfWork, lead: Lead, message: SmsMessage) -> None:
    shown = {
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
    publish_event(turn, "lead.messages", "lead.message.imported", lead.location, lead.id, unique, data)
