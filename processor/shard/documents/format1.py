"""Format 1 of the documents, as version 0.1 wrote them: translated to today's fields as they are read."""

from collections.abc import Mapping
from typing import Final

from processor.shard.documents.document import Fields


def renamed(fields: Fields, names: Mapping[str, str]) -> Fields:
    """Return the fields by their new names."""
    return {names.get(name, name): value for name, value in fields.items()}


def upgrade_lead(old: Fields) -> Fields:
    new = renamed(old, {"learned": "filled", "memory": "negative_cache", "dead": "gone", "open": "work"})
    if cached := new.get("negative_cache"):
        new["negative_cache"] = renamed(cached, {"pause": "wait"})
    if work := new.get("work"):
        new["work"] = upgrade_work(work)
    return new


question_kinds: Final = {"get": "contact", "export": "messages"}


def upgrade_work(old: Fields) -> Fields:
    names = {"since": "first_cause_at", "heard": "accepted_at", "asked": "requests", "looked": "asked"}
    new = renamed(old, names | {"untold": "unreported"})
    covered, matched, scan = new.pop("covered", False), new.pop("hits", None), new.pop("scan", 0)
    searched, seen, first_look = new.pop("searched", None), new.pop("payload", None), new.pop("first_look", 0)
    outcome, cursor, export_from = new.pop("messages", None), new.pop("cursor", None), new.pop("export_from", None)
    if question := new.get("question"):
        kind, value = question
        new["question"] = [question_kinds.get(kind, kind), value]
    if covered:
        new["listing"] = [scan, matched]
    reading = question and question[0] == "export"
    if outcome or cursor or reading:
        new["stage"] = ["messages", searched, seen, outcome, cursor, export_from]
    elif searched or seen or (question and question[0] in ("id", "get")):
        new["stage"] = ["hydrate", searched, seen]
    elif first_look:
        new["stage"] = ["resolve", first_look]
    return new


def upgrade_request(old: Fields) -> Fields:
    return renamed(old, {"since": "published_at"})


def upgrade_location(old: Fields) -> Fields:
    return old


common: Final = {
    "since": "published_at",
    "heard": "accepted_at",
    "dry": "dry_run",
    "tally": "counters",
    "told": "report",
    "messages": "wants_messages",
}


def upgrade_job(old: Fields) -> Fields:
    new = upgrade_common(old)
    new = renamed(new, {"lent": "borrowed", "giving": "returning", "asks": "questions", "ors": "multi_value"})
    if "questions" in new:
        new["questions"] = renamed(new["questions"], question_kinds)
    after, cursor = new.pop("after", None), new.pop("cursor", None)
    new["listing"] = {"page": new.pop("page", 0), "after": after or cursor, "attempts": new.pop("attempts", 0)}
    new["scan"] = {
        "number": new.pop("scans", 0),
        "started": new.pop("scan_from", 0),
        "catching_up": new.pop("last_pass", False),
    }
    reads = new.pop("reads", None)
    new["export"] = {
        "contacts": new.pop("readers", 0),
        "whole": None if reads is None else reads == "location",
        "newest": new.pop("message_at", 0),
        "export_from": new.pop("export_from", None),
        "restarts": new.pop("anew", 0),
        "failed": new.pop("messages_failed", False),
    }
    return new


def upgrade_backfill(old: Fields) -> Fields:
    new = renamed(upgrade_common(old), {"held": "jobs_paused", "over": "jobs_over"})
    if stage := new.get("stage"):
        new["stage"] = {"listing": "fanning_out", "asking": "serving"}.get(stage, stage)
    return new


def upgrade_common(old: Fields) -> Fields:
    new = renamed(old, common)
    if report := new.get("report"):
        new["report"] = renamed(report, {"held": "paused", "anew": "has_news"})
    return new
