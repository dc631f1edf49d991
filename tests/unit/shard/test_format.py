"""Format 1 of the changelog is read and carried on; format 2 keeps what it doesn't know; a newer one stops the opening.

The fixture was written by version 0.1: one changelog with leads in every stage of their work, one with a Sync All in
the midst of its scan and a backfill behind it.
"""

import sqlite3
from pathlib import Path
from typing import Any

import orjson
import pytest

from processor.highlevel.message import SmsMessage
from processor.shard.store import NewerFormat, Store

from .bench import Bench, contact, here, setup, start

fixture: dict[str, Any] = orjson.loads((Path(__file__).parent / "fixtures" / "changelog-format-1.json").read_bytes())


def carried_on(name: str, **changes: Any) -> Bench:
    """Return a shard of today that has read one of the fixture's changelogs."""
    contacts = [contact(number) for number in range(1, 31)]
    bench = Bench(setup(worker="worker-2", **changes), contacts, now=fixture[f"now_{name}"])
    bench.rows = {key: value.encode() if value is not None else None for key, value in fixture[name].items()}
    bench.shard.store.restore(list(bench.rows.items()), 1)
    list(bench.shard.store.index_restored(bench.now))
    bench.turn()
    return bench


def stored(bench: Bench, key: str) -> dict[str, Any]:
    fields: dict[str, Any] = orjson.loads(bench.rows[key] or b"")
    return fields


def test_open_work_of_format_1_is_carried_on_and_each_request_answered_once() -> None:
    bench = carried_on("leads")
    bench.messages = [
        SmsMessage("m-1", "contact-7", start, "inbound", "TYPE_SMS", "hi", "delivered", "c", None, None, None)
    ]
    bench.later(90_000)

    results = {(one["lead_id"], one["outcome"], one["reason"], one["messages"]) for one in bench.take()}
    assert results == {
        ("searching", "updated", None, "not_asked"),
        ("hydrating", "updated", None, "not_asked"),
        ("reading", "unchanged", None, "imported"),
        ("unknown", "failed", "unknown_lead", "not_asked"),
        ("young", "not_found", "no_contact", "not_asked"),
    }
    answered = [one["request_id"] for one in bench.take("sync.progress")]
    assert sorted(answered) == ["request-open", "request-unknown"]
    assert stored(bench, f"lead {here} searching")["v"] == 2


def test_what_format_1_remembers_of_leads_still_holds() -> None:
    """Filled facts, the negative cache, the gone contact, checkpoints and answered requests."""
    bench = carried_on("leads")
    made = len(bench.made)
    bench.later(3_000)
    asked = len(bench.made) - made
    bench.take()
    bench.take("sync.progress")
    bench.changed("filled", revision=2, email="jane2@example.com")
    bench.changed("not-found", revision=2, email="nobody@example.com")
    bench.sync(lead_id="synced", request="request-done")
    bench.changed("deleted", revision=1, email="gone@example.com")
    bench.changed("gone", revision=2, contact_id="contact-99", email="jane3@example.com", city="Springfield")
    bench.later(100)

    results = {one["lead_id"]: one for one in bench.take() if one["lead_id"] in ("filled", "not-found", "gone")}
    assert results["filled"]["changes"]["contact_id"] == "contact-2"
    assert results["gone"]["replaces"] == {"contact_id": "contact-99"}
    assert "not-found" not in results
    assert bench.take("sync.progress") == []
    assert len(bench.made) - made - asked <= 1  # a repeat is not run again; nothing is searched anew
    checkpoint = stored(bench, f"lead {here} synced")["checkpoints"]["contact-4"]
    assert sorted(checkpoint["recent"]) == ["contact-4-m0", "contact-4-m1", "contact-4-m2"]


def test_jobs_of_format_1_go_on_from_where_they_were() -> None:
    bench = carried_on("jobs", probe_size=2)
    bench.page = 10
    bench.later(120_000)

    ends = {one["request_id"]: one for one in bench.take("sync.progress") if one["leads_done"] == one["leads_total"]}
    assert ends["job-1"]["updated"] == 30
    assert ends["backfill-1"]["leads_total"] == 30
    assert len({one["lead_id"] for one in bench.take()}) == 30
    assert next(page.page for page in bench.pages) == 2  # the page that was in flight is asked for again


@pytest.mark.parametrize("kind", ["lead", "request", "location", "job", "backfill"])
def test_an_unknown_key_of_a_document_is_kept(kind: str) -> None:
    """A neighbouring version may have written it."""
    bench = carried_on("jobs" if kind in ("job", "backfill") else "leads")
    keys = [key for key in bench.rows if key.startswith(f"{kind} ")]
    added = [(key, orjson.dumps({**orjson.loads(bench.rows[key] or b""), "novel": {"by": "another"}})) for key in keys]
    other = Bench(setup(worker="worker-2", probe_size=2), bench.contacts, now=bench.now)
    other.rows = bench.rows | dict(added)
    other.page = 10
    other.shard.store.restore(list(other.rows.items()), 1)
    list(other.shard.store.index_restored(other.now))
    before = dict(other.rows)
    other.turn()
    other.changed("filled", revision=2, email="jane2@example.com")
    other.later(1_000)  # the job goes on
    other.cancel("backfill-1", location_id=None)

    written = [key for key in keys if other.rows[key] != before[key] and other.rows[key] is not None]
    open_ones = [key for key in written if b'"stage":"over"' not in (other.rows[key] or b"")]
    assert open_ones
    assert all(stored(other, key)["novel"] == {"by": "another"} for key in open_ones)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([("identity", b"0123abcd")], 1),
        ([("identity", b"0123abcd 2")], 2),
        ([("identity", b"0123abcd"), ("format", b"2")], 2),
        ([], 1),
    ],
)
def test_the_changelog_names_its_format(rows: list[tuple[str, bytes | None]], expected: int) -> None:
    store = Store(sqlite3.connect(":memory:"))
    store.restore(rows, 1)

    assert store.format == expected


@pytest.mark.parametrize("row", [("identity", b"0123abcd 3"), ("format", b"3")])
def test_a_newer_format_stops_the_opening(row: tuple[str, bytes]) -> None:
    store = Store(sqlite3.connect(":memory:"))
    store.restore([row], 1)

    with pytest.raises(NewerFormat, match="the changelog has format 3, this version reads up to 2"):
        list(store.index_restored(start))
