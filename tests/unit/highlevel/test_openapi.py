"""Requests and responses against HighLevel's OpenAPI documents, which lie beside the repository."""

import json
import re
from pathlib import Path
from typing import Any  # of JSON in tests

import orjson
import pytest
from jsonschema import Draft202012Validator
from referencing import Registry
from referencing.jsonschema import DRAFT202012

from processor.highlevel.requests import Call, ExportMessages, GetContact, Question, QuestionKind, Search, http_request
from processor.highlevel.responses import Exported, Found, Refused, ResponseOutcome, Unauthorized, parse_response
from processor.ratelimit.budget import Permit

folder = Path(__file__).parents[3] / ".." / "shared" / "highlevel" / "openapi"
if not folder.is_dir():
    pytest.skip(f"HighLevel's OpenAPI documents aren't at {folder}", allow_module_level=True)

files = (
    "v2/contacts.json",
    "v2/conversations.json",
    "history/contacts-search-2025-08-26.json",
    "common/common-schemas.json",
)
documents: dict[str, Any] = {name: json.loads((folder / name).read_text()) for name in files}
root = "https://openapi.invalid/"
registry: Registry[Any] = Registry().with_resources(
    (root + name, DRAFT202012.create_resource(document)) for name, document in documents.items()
)
permit = Permit("502goXVW3lIExEQPOnd3", 0, 0, 2_000)
search = Call(permit, Search("502goXVW3lIExEQPOnd3", (Question(QuestionKind.EMAIL, "john@example.com"),)), ())
export = Call(
    permit, ExportMessages("502goXVW3lIExEQPOnd3", "ve9EPM428h8vShlRW1KT", since=1_700_000_000_000, cursor="eyJ9"), ()
)
get = Call(permit, GetContact("502goXVW3lIExEQPOnd3", "c/1 ?"), ())


def validate(name: str, schema: str, value: object) -> None:
    reference = {"$ref": f"{root}{name}#/components/schemas/{schema}"}
    Draft202012Validator(reference, registry=registry).validate(value)


def example(name: str, schema: str) -> dict[str, Any]:
    """Return an object of the schema's own examples, without those that don't fit their own types."""
    properties = documents[name]["components"]["schemas"][schema]["properties"]
    examples = {field: about["example"] for field, about in properties.items() if "example" in about}
    fits = {field: Draft202012Validator(properties[field]).is_valid(value) for field, value in examples.items()}
    return {field: value for field, value in examples.items() if fits[field]}


def operation(method: str, path: str) -> tuple[dict[str, Any], list[str]]:
    """Return the operation that a path belongs to, and the values of its path parameters."""
    paths = documents["v2/contacts.json"]["paths"] | documents["v2/conversations.json"]["paths"]
    for template, operations in paths.items():
        form = re.sub(r"\\\{\w+\\\}", "([^/?#]+)", re.escape(template))
        if (matched := re.fullmatch(form, path)) and method.lower() in operations:
            return operations[method.lower()], list(matched.groups())
    raise AssertionError(f"no operation {method} {path}")


@pytest.mark.parametrize(
    ("call", "operation_id", "values"),
    [(search, "search-contacts-advanced", []), (get, "get-contact", ["c%2F1%20%3F"])],
)
def test_a_request_is_an_operation_of_highlevels(call: Call, operation_id: str, values: list[str]) -> None:
    """Its method and path exist, its version is one of the enum, and nothing that is required is missing."""
    http = http_request(call.request)
    found, in_path = operation(http.method, http.path)
    required = {(field["in"], field["name"]): field["schema"] for field in found["parameters"] if field["required"]}

    assert (operation_id, values) == (found["operationId"], in_path)
    assert http.version in required.pop(("header", "Version"))["enum"]
    assert len(values) == len(required)
    assert all(place == "path" for place, _ in required)
    assert (http.body is not None) == found.get("requestBody", {}).get("required", False)


def test_the_body_of_a_search_fits() -> None:
    """The schema is an empty object: only another type than an object would fail."""
    validate("v2/contacts.json", "SearchBodyV2DTO", http_request(search.request).body)


def test_a_typed_reply_of_a_search_is_read() -> None:
    contact = example("history/contacts-search-2025-08-26.json", "Contact")
    reply = {"contacts": [contact], "total": 1}
    validate("history/contacts-search-2025-08-26.json", "SearchContactSuccessResponseDto", reply)

    result = outcome(search, 200, reply)

    assert isinstance(result, Found)
    (read,) = result.contacts
    assert ("102goXVW3lIExEQPOnd3", "502goXVW3lIExEQPOnd3", "john@example.com") == (read.id, read.location, read.email)
    assert ("jane@example.com",) == read.other_emails
    assert ("123456789", "987654321") == read.other_phones
    assert 1_717_700_097_221 == read.updated
    assert {
        "email": "john@example.com",
        "phone": "+123456789",
        "company_name": "XYZ Corp",
        "address": "123 Main Street",
        "city": "New York",
        "state": "California",
        "postal_code": "12345",
        "country": "United States",
    } == read.fields


def test_a_typed_reply_of_a_get_is_read() -> None:
    contact = example("v2/contacts.json", "GetContectByIdSchema")
    validate("v2/contacts.json", "ContactsByIdSuccessfulResponseDto", {"contact": contact})
    its = Call(permit, GetContact(contact["locationId"], contact["id"]), ())

    result = outcome(its, 200, {"contact": contact})

    assert isinstance(result, Found)
    (read,) = result.contacts
    assert {
        "email": "rubika@deos.com",
        "phone": "+18832327657",
        "first_name": "rubika",
        "last_name": "Deo",
        "company_name": "DGS VolMAX",
        "website": "https://www.tesla.com",
        "address": "3535 1st St N",
        "city": "ruDolomitebika",
        "state": "AL",
        "postal_code": "35061",
        "country": "US",
        "timezone": "Asia/Calcutta",
    } == read.fields


@pytest.mark.parametrize(
    ("status", "schema", "expected"),
    [
        (400, "BadRequestDTO", Refused(400)),
        (401, "UnauthorizedDTO", Unauthorized("expired")),
        (422, "UnprocessableDTO", Refused(422)),
    ],
)
def test_an_error_is_read(status: int, schema: str, expected: ResponseOutcome) -> None:
    reply = example("common/common-schemas.json", schema)
    validate("common/common-schemas.json", schema, reply)

    assert expected == outcome(get, status, reply)


def outcome(call: Call, status: int, reply: object) -> ResponseOutcome:
    return parse_response(call, status, {}, orjson.dumps(reply), 0).outcome


def test_an_export_is_an_operation_of_highlevels() -> None:
    """Its query holds what is required, and nothing that isn't one of the parameters, in their forms."""
    http = http_request(export.request)
    found, _ = operation(http.method, http.path)
    parameters = {field["name"]: field for field in found["parameters"] if field["in"] == "query"}
    [version] = [field for field in found["parameters"] if field["in"] == "header"]

    assert found["operationId"] == "export-messages-by-location"
    assert http.version in version["schema"]["enum"]
    assert {name for name, field in parameters.items() if field["required"]} <= http.query.keys() <= parameters.keys()
    for name, value in http.query.items():
        schema = parameters[name]["schema"]
        Draft202012Validator(schema).validate(int(value) if schema["type"] == "number" else value)


def test_a_typed_reply_of_an_export_is_read() -> None:
    message = example("v2/conversations.json", "GetMessageResponseDto") | {
        "messageType": "TYPE_SMS",
        "direction": "inbound",
        "status": "delivered",
        "source": "app",
        "attachments": ["https://example.com/a.png"],
        "contentType": "text/plain",
        "locationId": "502goXVW3lIExEQPOnd3",
    }
    validate("v2/conversations.json", "GetMessageResponseDto", message)
    reply = {"messages": [message], "total": 1, "nextCursor": None}
    validate("v2/conversations.json", "ExportMessagesResponseDto", {"messages": [message], "total": 1})
    result = parse_response(export, 200, {}, orjson.dumps(reply), 0).outcome

    assert isinstance(result, Exported)
    assert [(read.id, read.type, read.body) for read in result.messages] == [
        (message["id"], "TYPE_SMS", message["body"])
    ]
