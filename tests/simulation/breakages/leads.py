"""Breakages of how a shard treats leads, Syncs and messages."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest

from processor.highlevel.message import SmsMessage
from processor.highlevel.requests import Call, Question
from processor.shard import decide, ingest, ingest_responses
from processor.shard.documents import checkpoint, lead
from processor.shard.documents.job import Job
from processor.shard.documents.lead import Lead
from processor.shard.documents.sync_request import SyncRequest
from processor.shard.documents.work import LeadWork
from processor.shard.jobs import export
from processor.shard.store import UnitOfWork

Patch = pytest.MonkeyPatch


def revision_check_dropped(patch: Patch) -> None:
    """The snapshot that comes last is taken for the newest."""

    def take(turn: UnitOfWork, lead: Lead, data: Any, timestamp_ms: int) -> bool:
        lead.take(data.snapshot(), data.revision, data.created_at_ms or timestamp_ms, turn.now)
        return True

    patch.setattr(ingest, "take_snapshot", take)


def stale_response_applied(patch: Patch) -> None:
    """A response is taken for one to the present question of its lead."""

    def asked(turn: UnitOfWork, call: Call) -> Iterator[tuple[Lead, LeadWork, Question]]:
        for one in call.questions:
            lead = Lead.of(turn, call.permit.location, one.lead)
            if lead.work:
                lead.work.question = one.question
                yield lead, lead.work, one.question

    patch.setattr(ingest_responses, "still_asked", asked)


def malformed_records_dropped(patch: Patch) -> None:
    patch.setattr(ingest, "publish_dead_letter", lambda turn, malformed: None)


def misrouted_events_dropped(patch: Patch) -> None:
    patch.setattr(ingest, "forward_to_home", lambda turn, event, location: None)


def requests_forgotten(patch: Patch) -> None:
    """A Sync that was answered is as if it had never been."""
    encode = SyncRequest.encode
    patch.setattr(SyncRequest, "encode", lambda self: encode(self) if self.answered is None else None)


def looked_again_too_late(patch: Patch) -> None:
    patch.setattr(decide, "look_again_ms", (15_000, 400_000))


def checkpoint_not_stored(patch: Patch) -> None:
    """The turn alone knows how far a contact's messages were imported."""
    patch.setattr(lead, "plain_lead_fields", tuple(name for name in lead.plain_lead_fields if name != "checkpoints"))


def overlap_forgotten(patch: Patch) -> None:
    """Messages are taken to appear in the order in which they are sent."""
    patch.setattr(checkpoint, "overlap_ms", 0)
    patch.setattr(export, "overlap_ms", 0)


def messages_matched_by_page(patch: Patch) -> None:
    """All messages of a page are taken for messages of the first one's contact."""
    match_messages = export.match_messages

    def mixed(turn: UnitOfWork, job: Job, messages: Sequence[SmsMessage], start: int) -> int:
        return match_messages(turn, job, [replace(one, contact=messages[0].contact) for one in messages], start)

    patch.setattr(export, "match_messages", mixed)
