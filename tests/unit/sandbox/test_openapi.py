"""The simulator's export against HighLevel's OpenAPI documents, which lie beside the repository."""

import json
from pathlib import Path
from typing import Any  # of JSON in tests

import pytest
from jsonschema import Draft202012Validator
from referencing import Registry
from referencing.jsonschema import DRAFT202012

from processor.sandbox.api import conversations_api_version
from processor.sandbox.directory import Directory
from processor.sandbox.message_export import (
    default_export_limit,
    export_parameters,
    max_export_limit,
    min_export_limit,
    parse_export,
)
from processor.sandbox.message_history import message_keys
from processor.sandbox.server import create_app
from tests.unit.sandbox.conftest import export_path

folder = Path(__file__).parents[3] / ".." / "shared" / "highlevel" / "openapi"
if not folder.is_dir():
    pytest.skip(f"HighLevel's OpenAPI documents aren't at {folder}", allow_module_level=True)

files = ("v2/conversations.json", "common/common-schemas.json")
documents: dict[str, Any] = {name: json.loads((folder / name).read_text()) for name in files}
root = "https://openapi.invalid/"
registry: Registry[Any] = Registry().with_resources(
    (root + name, DRAFT202012.create_resource(document)) for name, document in documents.items()
)
operation = documents["v2/conversations.json"]["paths"][export_path]["get"]
parameters = {one["name"]: one for one in operation["parameters"]}
message_types = documents["v2/conversations.json"]["components"]["schemas"]["GetMessageResponseDto"]["properties"][
    "messageType"
]["enum"]


def validate(name: str, schema: str, value: object) -> None:
    reference = {"$ref": f"{root}{name}#/components/schemas/{schema}"}
    Draft202012Validator(reference, registry=registry).validate(value)


async def ask(directory: Directory, client: Any, **query: str) -> Any:
    http = client(create_app(directory))
    return await http.get(
        export_path, params={"locationId": "here", **query}, headers={"Version": conversations_api_version}
    )


def test_the_query_is_the_operations() -> None:
    asked = {name: one for name, one in parameters.items() if one["in"] == "query"}
    limit = asked["limit"]["schema"]

    assert export_parameters == asked.keys()
    assert {"locationId"} == {name for name, one in asked.items() if one["required"]}
    assert (min_export_limit, max_export_limit, default_export_limit) == (
        limit["minimum"],
        limit["maximum"],
        limit["default"],
    )
    assert [*message_keys] == asked["sortBy"]["schema"]["enum"]
    assert [conversations_api_version] == parameters["Version"]["schema"]["enum"]
    plain = parse_export("locationId=here").selection
    assert (asked["sortBy"]["schema"]["default"], asked["sortOrder"]["schema"]["default"]) == (
        plain.field,
        "desc" if plain.descending else "asc",
    )


@pytest.mark.parametrize("channel", parameters["channel"]["schema"]["enum"])
def test_every_channel_is_known(channel: str) -> None:
    assert channel == parse_export(f"locationId=here&channel={channel}").selection.channel


async def test_a_response_fits_but_for_the_types_that_are_traps(client: Any) -> None:
    """The spec's own example has a type without TYPE_, and its enum has grown several times."""
    directory = Directory(auto_contacts=100, messages=8)
    responses = [
        (await ask(directory, client, limit="500", channel=channel)).json() for channel in ("SMS", "Call", "Email")
    ]
    odd = set()
    for response in responses:
        for message in response["messages"]:
            if message["messageType"] not in message_types:
                odd.add(message["messageType"])
                message["messageType"] = "TYPE_SMS"
        if response["nextCursor"] is None:
            del response["nextCursor"]  # "null if no more results", per its description; its type doesn't
        validate("v2/conversations.json", "ExportMessagesResponseDto", response)

    assert all(response["messages"] for response in responses)
    assert {"SMS", "TYPE_SMS_SOMETHING_NEW"} == odd


async def test_refusals_fit(directory: Directory, client: Any) -> None:
    directory.location("there").message_scope = False
    expired = await ask(directory, client, cursor="none")
    lacking = await ask(directory, client, locationId="there")
    wrong = await ask(directory, client, limit="1")

    for response, status, schema in (
        (expired, 400, "BadRequestDTO"),
        (lacking, 401, "UnauthorizedDTO"),
        (wrong, 422, "UnprocessableDTO"),
    ):
        assert status == response.status_code
        validate("common/common-schemas.json", schema, response.json())
