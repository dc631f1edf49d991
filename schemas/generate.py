"""Write the contract's schemas and its table of topics: `python -m schemas.generate schemas/`."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from pydantic.json_schema import GenerateJsonSchema

from processor.events.cloudevents import SCHEMAS
from processor.events.contract import EVENTS, SERVED, InputData
from processor.events.fields import EVENT_ID_MAX
from processor.topics import DEFAULT_PARTITIONS, TOPICS

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
KEPT_OUTSIDE: Final = ("description", "default")  # they hold for every value of an optional field

Schema = dict[str, Any]  # JSON


class Generate(GenerateJsonSchema):
    """Generate schemas as pydantic does, but without titles, and with null and "" for every optional field of an input."""

    def field_title_should_be_set(self, schema: object) -> bool:
        return False

    def model_schema(self, schema: Any) -> Schema:  # pydantic's own description of a model
        made = super().model_schema(schema)
        del made["title"]
        if issubclass(schema["cls"], InputData):
            required, fields = made["required"], made["properties"]
            made["properties"] = {
                name: field if name in required else optional(field) for name, field in fields.items()
            }
        return made


def optional(field: Schema) -> Schema:
    """Return the schema of an input's field that may also be null or ""."""
    outside = {name: field[name] for name in KEPT_OUTSIDE if field.get(name) is not None}
    inside = {name: value for name, value in field.items() if name not in KEPT_OUTSIDE}
    if "anyOf" in inside:
        [inside] = [schema for schema in inside["anyOf"] if schema.get("type") != "null"]
    if inside.keys() == {"type", "maxLength"}:  # a text: it may be empty anyway
        return {"type": ["string", "null"], "maxLength": inside["maxLength"]} | outside
    return {"anyOf": [inside, {"type": "null"}, {"const": ""}]} | outside


def event_schema(kind: str) -> Schema:
    """Return the JSON Schema of an event's `data`."""
    made = EVENTS[kind].model_json_schema(schema_generator=Generate)
    return {"$schema": DIALECT, "$id": SCHEMAS[kind], "title": kind} | made


def envelope_schema() -> Schema:
    """Return the JSON Schema of a whole event as it is read. It constrains only what Hydrant looks at."""
    attribute = {"type": "string", "minLength": 1}
    return {
        "$schema": DIALECT,
        "$id": "urn:hydrant:schema:envelope",
        "title": "envelope",
        "description": "CloudEvents 1.0 in structured mode. Unknown attributes are ignored.",
        "type": "object",
        "properties": {
            "specversion": {"const": "1.0"},
            "id": attribute | {"maxLength": EVENT_ID_MAX, "description": "Unique per source."},
            "source": attribute | {"description": "The publisher; hydrant/{location} for events of ours."},
            "type": attribute | {"examples": list(EVENTS)},
            "time": {"description": "RFC 3339. Written, not looked at when read."},
            "subject": {"description": "Lead or request id. Written, not looked at when read."},
            "partitionkey": {"description": "Location id. Written, not looked at when read."},
            "datacontenttype": {"description": "application/json. Written, not looked at when read."},
            "dataschema": {"description": "urn:hydrant:schema:{type}. Written, not looked at when read."},
            "data": {"type": "object", "description": "See events/{type}.schema.json."},
        },
        "required": ["specversion", "id", "source", "type", "data"],
    }


def topics() -> Schema:
    """Return the table of topics. `served` are the inputs that this version acts on."""
    return {
        "key": "location id; its partition by Kafka's default partitioner (murmur2) is the location's home",
        "partitions": f"the same number for all topics, final once created; {DEFAULT_PARTITIONS} by default",
        "topics": [
            {
                "name": topic.name,
                "role": topic.role,
                "events": list(topic.events),
            }
            | ({"served": [kind for kind in topic.events if kind in SERVED]} if topic.role == "input" else {})
            | {"configs": topic.configs}
            for topic in TOPICS.values()
        ],
    }


def published() -> Mapping[str, str]:
    """Return the content of each file by its path below the schemas' folder."""
    documents = {f"events/{kind}.schema.json": event_schema(kind) for kind in EVENTS}
    documents |= {"envelope.schema.json": envelope_schema(), "topics.json": topics()}
    return {path: json.dumps(document, indent=2, ensure_ascii=False) + "\n" for path, document in documents.items()}


def main(folder: str) -> None:
    for path, content in published().items():
        file = Path(folder, path)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content, encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
