"""Write contacts, messages and publications of a workload as the HighLevel simulator and Kafka take them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from processor.events.cloudevents import Record
from processor.shard.store import OutRecord
from tests.lab.harness.calls import Arrival
from tests.lab.history import CallArrival, History, of_topics
from tests.lab.workload.contact import Contact
from tests.lab.workload.message import Message
from tests.lab.workload.publication import Publication
from tests.lab.workload.times import iso, start_ms
from tests.lab.workload.workload import Workload

highlevel_names: Final[Mapping[str, str]] = {
    "email": "email",
    "phone": "phone",
    "first_name": "firstName",
    "last_name": "lastName",
    "company_name": "companyName",
    "website": "website",
    "address": "address1",
    "city": "city",
    "state": "state",
    "postal_code": "postalCode",
    "country": "country",
    "timezone": "timezone",
}  # by our names (contract.md §4.3)


def world_rows(workload: Workload) -> Iterator[Mapping[str, Any]]:
    """Yield the contacts and messages that HighLevel has from the start, in rows as the simulator reads them."""
    for contact in workload.contacts.values():
        if not contact.gone and not contact.since:
            yield {"location_id": contact.location, "contact": contact_row(contact)}
    for message in workload.messages:
        yield {"location_id": message.location, "message": message_row(message)}


def contact_row(contact: Contact) -> dict[str, Any]:
    """Return a contact in the shape of HighLevel's GET."""
    return {
        "id": contact.id,
        **{highlevel_names[name]: value for name, value in contact.fields.items()},
        "additionalEmails": [{"email": email} for email in contact.others],
        "dateAdded": iso(contact.added),
        "dateUpdated": contact.updated,
    }


def message_row(message: Message) -> dict[str, Any]:
    """Return a message in the shape of HighLevel's export."""
    return {
        "id": message.id,
        "contactId": message.contact,
        "messageType": message.kind,
        "dateAdded": iso(message.sent),
        "direction": "inbound",
        "status": "delivered",
        "body": message.text,
    }


def out_of(workload: Workload, publication: Publication) -> OutRecord:
    """Return the record of a publication, for the partition that upstream publishes to."""
    partition = workload.partition_of(publication)
    return OutRecord(publication.topic, publication.key.encode(), publication.value, publication.headers, partition)


def history_of(
    workload: Workload,
    records: Iterable[Record],
    arrivals: Mapping[str, Sequence[Arrival]],
    began_ms: int,
    **more: Any,
) -> History:
    """Return the history of a run on real Kafka that began at this time, ms since 1970. `more` are fields of the history.

    Times of records and arrivals are moved, so that the workload's start is the beginning of the run.
    """
    moved_ms = start_ms - began_ms
    moved = [replace(record, timestamp_ms=record.timestamp_ms + moved_ms) for record in records]
    calls = [
        CallArrival(arrival.at + moved_ms, location, arrival.kind, arrival.status)
        for location, sequence in arrivals.items()
        for arrival in sequence
    ]
    return of_topics(workload, moved, calls, **more)
