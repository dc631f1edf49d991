"""Make up leads and their contacts in HighLevel. A number makes both, so that they are one person. No data is real."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from random import Random
from typing import Any, Final

from processor.events.cloudevents import encode
from tests.lab.harness.rows import highlevel_names

Json = Mapping[str, Any]  # a JSON object
Published = tuple[str, bytes]  # location and value

years_ago: Final = "2024-03-01T09:30:00.000Z"  # neither a lead nor a contact is too young for the search index


def locations(count: int) -> list[str]:
    """Return ids as long as HighLevel's."""
    return [f"BenchLocation{number:07d}" for number in range(count)]


def contact_id(number: int) -> str:
    return f"BenchContact{number:08d}"


def lead_id(number: int) -> str:
    return f"lead-{number:08d}"


def person(number: int) -> dict[str, str]:
    """Return all fields of a person."""
    return {
        "email": f"jane.mcdoe.{number}@example.com",
        "phone": f"+1555{number:07d}",
        "first_name": "Jane",
        "last_name": "McDoe",
        "company_name": "McDoe & Daughters",
        "website": "https://mcdoe.example.com",
        "address": f"{number % 9_999 + 1} Main St",
        "city": "Springfield",
        "state": "IL",
        "postal_code": "62701",
        "country": "US",
        "timezone": "America/Chicago",
    }


def lead(location: str, number: int, revision: int, lacking: Collection[str] = ()) -> dict[str, Any]:
    """Return the data of a `lead.changed` without the fields that the lead lacks, perhaps `contact_id` among them."""
    known = {"contact_id": contact_id(number), **person(number), "source": "website"}
    fields = {name: value for name, value in known.items() if name not in lacking}
    return {
        "location_id": location,
        "lead_id": lead_id(number),
        "revision": revision,
        "created_at": years_ago,
        **fields,
    }


def change(location: str, number: int, revision: int, lacking: Collection[str] = ()) -> Published:
    return location, event(
        "lead.changed", lead(location, number, revision, lacking), location, f"change-{number}-{revision}"
    )


def changes(
    where: Sequence[str], numbers: range, lacking: Collection[str], revisions: Iterable[int] = (1,)
) -> Iterator[Published]:
    """Yield a change of every lead in a shuffled order, once for each revision, so that no two changes of a lead are near."""
    shuffled = Random(0).sample(numbers, len(numbers))
    for revision in revisions:
        for number in shuffled:
            yield change(where[number % len(where)], number, revision, lacking)


def sync(location: str, number: int, lacking: Collection[str], messages: bool = False) -> Published:
    """Return a Sync of a lead that was never published, with its messages or for the contact alone."""
    request = f"request-{number}"
    data = {
        "request_id": request,
        "location_id": location,
        "lead_id": lead_id(number),
        "lead": lead(location, number, 1, lacking),
        "lane": "interactive",
        "include_messages": messages,
    }
    return location, event("sync.lead.requested", data, location, request)


def event(kind: str, data: Json, location: str, unique: str) -> bytes:
    when_ms = 1_750_000_000_000  # the envelope's; what counts is the record's own
    subject = str(data["lead_id"])
    return encode(kind, data, id=unique, source="bench", subject=subject, location=location, time_ms=when_ms)


def contacts(where: Sequence[str], numbers: range) -> Iterator[Json]:
    """Yield each lead's contact, in the lead's location, as the sandbox loads it."""
    for number in numbers:
        known = person(number)
        shown = {theirs: known[ours] for ours, theirs in highlevel_names.items()}
        contact = {"id": contact_id(number), **shown, "dateAdded": years_ago, "dateUpdated": years_ago}
        yield {"location_id": where[number % len(where)], "contact": contact}
