"""Read and check the JSON values that users of the sandbox send, and write times as HighLevel does."""

from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar

Options = TypeVar("Options")


def parse_options(kind: type[Options], name: str, given: Any, required: Collection[str] = ()) -> Options:  # any JSON
    """Return a dataclass with slots made of a JSON object. Raise ValueError, beginning with `name`, if the object is wrong."""
    if not isinstance(given, Mapping):
        raise ValueError(f"{name}: not an object")
    known: Collection[str] = kind.__slots__  # type: ignore[attr-defined]  # every caller's dataclass has slots
    if unknown := given.keys() - set(known):
        raise ValueError(f"{name}: {min(unknown)}: unknown")
    if missing := set(required) - given.keys():
        raise ValueError(f"{name}: {min(missing)}: missing")
    return kind(**given)


def is_whole(value: Any, least: int, most: int) -> bool:
    """Return True if the value is an integer, and no boolean, from `least` to `most`."""
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def is_number(value: Any, least: float, most: float) -> bool:
    """Return True if the value is a number, and no boolean, from `least` to `most`."""
    return isinstance(value, int | float) and not isinstance(value, bool) and least <= value <= most


def optional_text(owner: str, shown: Mapping[str, Any], name: str) -> str | None:
    """Return the text of a field, None where it is absent. Raise ValueError that names owner and field."""
    value = shown.get(name)
    if value is not None and not isinstance(value, str):
        raise ValueError(f"{owner}: {name}: not a string")
    return value


def optional_time(owner: str, shown: Mapping[str, Any], name: str, default_ms: int) -> int:
    """Return the time of a field in ms since 1970. Raise ValueError that names owner and field."""
    value = optional_text(owner, shown, name)
    try:
        return parse_time_ms(value) if value else default_ms
    except ValueError:
        raise ValueError(f"{owner}: {name}: not an ISO 8601 time") from None


def parse_time_ms(text: str) -> int:
    """Return ms since 1970 of an ISO date or date-time; a text without a zone is UTC. Raise ValueError if it is neither."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return round(moment.timestamp() * 1_000)


def iso_time(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1_000, UTC).isoformat(timespec="milliseconds")[:-6] + "Z"


def lowered(text: str | None) -> str | None:
    return text.lower() if text else text
