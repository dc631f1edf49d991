"""The published contract matches the code: schemas, examples, topics."""

import json
import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import jsonschema
import orjson
import pytest
from hypothesis import assume, given, strategies
from jsonschema import Draft202012Validator
from pydantic import ValidationError

from processor.events.cloudevents import SCHEMAS, Event, Malformed, Record, decode, encode, envelope_flaw
from processor.events.contract import EVENTS, INPUTS, SERVED, SNAPSHOT, InputData
from processor.topics import INPUT_TOPICS, TOPICS
from schemas.generate import envelope_schema, event_schema, main, published

Json = dict[str, Any]

folder = Path(__file__).parents[3] / "schemas"
valid = sorted(folder.glob("examples/*/valid/*.json"))
invalid = sorted(folder.glob("examples/*/invalid/*.json"))


def is_date_time(value: object) -> bool:
    return not isinstance(value, str) or bool(datetime.fromisoformat(value[:19]))


def pattern(_: object, wanted: str, value: object, __: object) -> Iterator[jsonschema.ValidationError]:
    """Match a pattern by ECMA-262, which JSON Schema asks for: `$` is the very end."""
    if isinstance(value, str) and not re.search(wanted.replace("$", r"\Z"), value):
        yield jsonschema.ValidationError("pattern")


dates = jsonschema.FormatChecker(formats=())
dates.checkers = {"date-time": (is_date_time, ValueError)}
Ecma = jsonschema.validators.extend(Draft202012Validator, {"pattern": pattern})
validators = {kind: Ecma(event_schema(kind), format_checker=dates) for kind in EVENTS}
envelope = Ecma(envelope_schema(), format_checker=dates)


def named(path: Path) -> str:
    return f"{path.parts[-3]}-{path.stem}"


def by_schema(event: Json) -> bool:
    return bool(envelope.is_valid(event) and validators[event["type"]].is_valid(event["data"]))


def by_model(event: Json) -> bool:
    """Return whether the decoder accepts the event; for a type that it doesn't serve, the same checks and the model."""
    kind, data = event["type"], event.get("data")
    if kind in SERVED:
        return isinstance(decode(Record("lead.changes", 0, 0, 0, None, orjson.dumps(event))), Event)
    return envelope_flaw(event | {"type": "lead.changed"}, data) is None and accepts(kind, data)


def accepts(kind: str, data: object) -> bool:
    try:
        EVENTS[kind].model_validate(data)
    except ValidationError:
        return False
    return True


@pytest.mark.parametrize("path", valid, ids=named)
def test_valid_examples_are_valid(path: Path) -> None:
    event = json.loads(path.read_bytes())

    assert (by_schema(event), by_model(event)) == (True, True)
    assert event["type"] == path.parts[-3]


@pytest.mark.parametrize("path", invalid, ids=named)
def test_invalid_examples_are_invalid(path: Path) -> None:
    event = json.loads(path.read_bytes())

    assert (by_schema(event), by_model(event)) == (False, False)
    assert event["type"] == path.parts[-3]


@pytest.mark.parametrize("path", valid + invalid, ids=named)
def test_an_example_on_an_input_topic_is_read_or_dead_lettered(path: Path) -> None:
    event = json.loads(path.read_bytes())
    found = decode(Record("lead.changes", 0, 0, 0, None, path.read_bytes()))

    if event["type"] in SERVED:
        assert isinstance(found, Event) == (path.parent.name == "valid")
    else:
        assert isinstance(found, Malformed)
        assert found.reason == "unknown_type"


def test_every_type_has_examples_of_both_kinds() -> None:
    assert {path.parts[-3] for path in valid} == {path.parts[-3] for path in invalid} == set(EVENTS)


@pytest.mark.parametrize("path", [path for path in valid if path.parts[-3] not in INPUTS], ids=named)
def test_examples_of_ours_are_written_as_we_write(path: Path) -> None:
    event = json.loads(path.read_bytes())
    written = encode(
        event["type"],
        event["data"],
        id=event["id"],
        source=event["source"],
        subject=event["subject"],
        location=event["partitionkey"],
        time_ms=1_769_848_200_000,
    )

    assert list(json.loads(written).items()) == list(event.items())


@pytest.mark.parametrize("kind", EVENTS)
def test_schemas_are_json_schemas(kind: str) -> None:
    Draft202012Validator.check_schema(event_schema(kind))

    assert event_schema(kind)["$id"] == SCHEMAS[kind]


@pytest.mark.parametrize("kind", EVENTS)
def test_schemas_use_only_keywords_of_json_schema(kind: str) -> None:
    """A constraint under a name that JSON Schema doesn't know would be none."""
    known = set(Draft202012Validator.VALIDATORS) | {"$schema", "$id", "$defs", "$comment", "title", "description"}

    def keywords(schema: Json) -> Iterator[str]:
        for name, value in schema.items():
            yield name
            if name in ("properties", "$defs"):
                for inner in value.values():
                    yield from keywords(inner)
            elif name in ("items", "additionalProperties") and isinstance(value, dict):
                yield from keywords(value)
            elif name == "anyOf":
                for inner in value:
                    yield from keywords(inner)

    assert set(keywords(event_schema(kind))) - known <= {"default", "examples"}


def test_the_committed_schemas_are_those_of_the_models(tmp_path: Path) -> None:
    main(str(tmp_path))
    made = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.json")}
    committed = {"envelope.schema.json", "topics.json"} | {f"events/{path.name}" for path in folder.glob("events/*")}

    assert made == set(published()) == committed
    for name in made:
        assert (folder / name).read_bytes() == (tmp_path / name).read_bytes(), f"make {name} anew"


def test_the_readme_lists_the_served_events() -> None:
    readme = (folder / "README.md").read_text(encoding="utf-8")
    for topic in (TOPICS[name] for name in INPUT_TOPICS):
        [row] = re.findall(rf"^\| `{topic.name}` \|(.*)\|(.*)\|$", readme, re.MULTILINE)
        now, later = (re.findall(r"`([^`]+)`", cell) for cell in row)
        assert (now, later) == (
            [kind for kind in topic.events if kind in SERVED],
            [kind for kind in topic.events if kind not in SERVED],
        )


def test_links_of_the_readme_exist() -> None:
    readme = (folder / "README.md").read_text(encoding="utf-8")
    pointed = re.findall(r"\]\(([^)]+)\)", readme)

    assert len(pointed) >= 7
    assert [target for target in pointed if not (folder / target).exists()] == []


def test_sql_and_typescript_know_every_field_of_a_lead() -> None:
    for name in ("outbox.sql", "apply.sql", "example.ts"):
        content = (folder / name).read_text(encoding="utf-8")
        assert [field for field in SNAPSHOT[:13] if not re.search(rf"\b{field}\b", content)] == [], name


odd: list[Any] = [
    None,
    "",
    " ",
    "a",
    "a b",
    "a\n",
    "ü",
    "l" * 128,
    "l" * 129,
    "ü" * 1_024,
    "ü" * 1_025,
    "interactive",
    "2026-01-31T08:30:00Z",
    "2026-01-31T08:30:00.123456+00:00",
    "2026-02-29T08:30:00Z",
    "2026-01-31T08:30:00Z\n",
    True,
    False,
    0,
    1,
    -1,
    1.0,
    1.5,
    -0.0,
    3_600,
    3_601,
    2**53 - 1,
    2**53,
    1e300,
    [],
    ["a"],
    [7],
    {},
    {"a": 1},
    {"a": "b"},
    {"a": None},
    {"a": 1.0},
]
samples = {kind: [json.loads(path.read_bytes())["data"] for path in valid if path.parts[-3] == kind] for kind in EVENTS}


@strategies.composite
def datas(draw: strategies.DrawFn, kind: str) -> Json:
    """Draw a valid example of the type with fields dropped, added or made odd, at the top or one level below."""
    data: Json = dict(draw(strategies.sampled_from(samples[kind])))
    names = strategies.sampled_from([*EVENTS[kind].model_fields, "unknown_field"])
    for name in draw(strategies.lists(names, max_size=3, unique=True)):
        inner = data.get(name)
        if isinstance(inner, dict) and inner and draw(strategies.booleans()):
            data[name] = inner | {draw(strategies.sampled_from(sorted(inner))): draw(strategies.sampled_from(odd))}
        elif draw(strategies.booleans()):
            data[name] = draw(strategies.sampled_from(odd))
        else:
            data.pop(name, None)
    return data


@pytest.mark.parametrize("kind", EVENTS)
@given(strategies.data())
def test_schema_and_model_agree(kind: str, data: strategies.DataObject) -> None:
    drawn = data.draw(datas(kind))
    lead = drawn.get("lead")
    if isinstance(lead, dict):  # JSON Schema can't express that it is the request's own lead
        assume(all(lead.get(name) == drawn.get(name) for name in ("location_id", "lead_id")))

    assert validators[kind].is_valid(drawn) == accepts(kind, drawn)


def test_every_input_accepts_null_and_empty_for_unknown() -> None:
    for kind in INPUTS:
        model = EVENTS[kind]
        assert issubclass(model, InputData)
        optional = [name for name, field in model.model_fields.items() if not field.is_required()]
        needed = {name: value for name, value in samples[kind][0].items() if name not in optional}
        for nothing in (None, ""):
            filled = needed | dict.fromkeys(optional, nothing)
            assert validators[kind].is_valid(filled), kind
            assert model.model_validate(filled) == model.model_validate(needed)
