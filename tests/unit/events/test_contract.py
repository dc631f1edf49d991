"""The models: the values they accept, the values that count as unknown, and errors that show no value."""

from typing import Any

import pytest
from hypothesis import given, strategies
from pydantic import ValidationError

from processor.events.contract import EVENTS, INPUTS, SERVED, InputData, LeadChanged, SyncLeadRequested
from processor.events.fields import HYDRATABLE, read_time, rfc3339

lead = {"location_id": "location-1", "lead_id": "lead-1", "revision": 7}


def test_absent_null_and_empty_all_mean_unknown() -> None:
    data = lead | {"contact_id": "", "email": None, "city": "", "created_at": "", "loading": None}

    assert LeadChanged.model_validate(data) == LeadChanged.model_validate(lead)


def test_a_snapshot_holds_the_known_fields() -> None:
    data = lead | {"contact_id": "contact-1", "email": "jane.doe@example.com", "city": "", "sentiment": "positive"}

    assert LeadChanged.model_validate(data).snapshot() == {
        "contact_id": "contact-1",
        "email": "jane.doe@example.com",
        "sentiment": "positive",
    }


def test_hydratable_fields_are_fields_of_a_lead() -> None:
    assert len(HYDRATABLE) == 12
    assert set(HYDRATABLE) < set(LeadChanged.model_fields)


def test_a_request_has_defaults() -> None:
    request = SyncLeadRequested(request_id="request-1", location_id="location-1", lead_id="lead-1")

    assert (request.lead, request.include_messages, request.deadline_s, request.lane) == (
        None,
        True,
        120,
        "interactive",
    )


@pytest.mark.parametrize("other", [{"lead_id": "lead-2"}, {"location_id": "location-2"}])
def test_a_request_holds_no_other_lead(other: dict[str, str]) -> None:
    """Its JSON Schema can't express this rule."""
    data = {"request_id": "request-1", "location_id": "location-1", "lead_id": "lead-1", "lead": lead | other}

    with pytest.raises(ValidationError, match="another lead than the request's"):
        SyncLeadRequested.model_validate(data)


def test_served_events_are_inputs_and_inputs_have_an_input_model() -> None:
    assert set(SERVED) < INPUTS
    assert {kind for kind, model in EVENTS.items() if issubclass(model, InputData)} == INPUTS


def test_events_are_values() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        LeadChanged.model_validate(lead).revision = 8  # type: ignore[misc]  # that is the point


def test_an_error_names_the_field_and_not_the_value() -> None:
    with pytest.raises(ValidationError) as refused:
        LeadChanged.model_validate(lead | {"email": ["secret@example.com"], "created_at": "secret"})

    assert "email" in str(refused.value)
    assert "secret" not in str(refused.value)


def test_a_lead_survives_being_published_again() -> None:
    data: dict[str, Any] = lead | {"email": "jane.doe@example.com", "created_at": "2026-01-30T17:05:12.345Z"}

    assert LeadChanged.model_validate(data).model_dump(exclude_none=True) == data | {"loading": False}


@pytest.mark.parametrize(
    ("written", "ms"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("2026-01-31T08:30:00Z", 1_769_848_200_000),
        ("2026-01-31T08:30:00.1Z", 1_769_848_200_100),
        ("2026-01-31T08:30:00.123456789Z", 1_769_848_200_123),
        ("2026-01-31T08:30:00.5+00:00", 1_769_848_200_500),
        ("2026-01-31T08:30:00-00:00", 1_769_848_200_000),
        ("1969-12-31T23:59:59.999Z", -1),
    ],
)
def test_times_are_read_to_the_millisecond(written: str, ms: int) -> None:
    assert read_time(written) == ms


@pytest.mark.parametrize(
    "written",
    [
        "2026-01-31",
        "2026-01-31T08:30:00",
        "2026-01-31T08:30:00+02:00",
        "2026-01-31 08:30:00Z",
        "2026-01-31T24:00:00Z",
        "2026-06-30T23:59:60Z",
        "2026-02-30T08:30:00Z",
        "0000-01-01T00:00:00Z",
        "2026-01-31T08:30:00Z\n",
        "٢٠٢٦-01-31T08:30:00Z",
        1_769_848_200_000,
        None,
    ],
)
def test_a_value_that_is_no_time_in_utc_is_refused(written: object) -> None:
    with pytest.raises(ValueError, match=r"^not an RFC 3339 time in UTC$"):
        read_time(written)


@given(strategies.integers(-62_135_596_800_000, 253_402_300_799_999))
def test_times_survive_being_written(ms: int) -> None:
    assert read_time(rfc3339(ms)) == ms
