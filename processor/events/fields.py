"""The scalars of the contract: ids, texts, whole numbers, times. An error about one of them never shows its value."""

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, Field, PlainSerializer, PlainValidator, Strict, WithJsonSchema

ID_PATTERN: Final = r"^[\x21-\x7e]{1,128}$"
TEXT_MAX: Final = 1_024  # characters
BODY_MAX: Final = 65_536  # characters of a message; 64 KiB as UTF-8 hold no more
INTEGER_MAX: Final = 2**53 - 1  # JavaScript reads no larger one exactly
TIME_PATTERN: Final = (
    r"^(?!0000)[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T"
    r"([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,9})?(Z|[+-]00:00)$"
)

is_time: Final = re.compile(TIME_PATTERN.removesuffix("$")).fullmatch  # Python's $ would let a newline pass
_epoch: Final = datetime(1970, 1, 1, tzinfo=UTC)
_millisecond: Final = timedelta(milliseconds=1)


def read_time(value: object) -> int:
    """Return an RFC 3339 time in UTC as ms since 1970, finer digits cut off. Raise ValueError for any other value."""
    if isinstance(value, str) and (time := is_time(value)):
        try:
            seconds = datetime.fromisoformat(f"{value[:19]}+00:00")
        except ValueError:  # February 30th; the error's own text would show the value
            pass
        else:
            _month, _day, _hour, fraction, _zone = time.groups()
            return (seconds - _epoch) // _millisecond + int((fraction or ".")[1:4].ljust(3, "0"))
    raise ValueError("not an RFC 3339 time in UTC")


@lru_cache(maxsize=256)  # all records of a turn have the same time
def rfc3339(ms: int) -> str:
    """Return ms since 1970 as the contract writes a time: `2026-01-31T08:30:00.000Z`."""
    return f"{(_epoch + ms * _millisecond).isoformat(timespec='milliseconds')[:23]}Z"


def whole_number(value: object) -> object:
    """Return 1.0 as the integer 1, as JSON Schema and JavaScript see it, and any other value as it is."""
    return int(value) if type(value) is float and value.is_integer() else value


def open_enum(*values: object) -> Any:  # pydantic types the result of Field() as Any
    """Declare an open enum: these are the values of today, and readers tolerate new ones."""
    return Field(examples=list(values), json_schema_extra={"$comment": "Open: readers tolerate new ones."})


Id = Annotated[str, Field(pattern=ID_PATTERN)]
Text = Annotated[str, Field(max_length=TEXT_MAX)]
Body = Annotated[str, Field(max_length=BODY_MAX)]
Count = Annotated[int, Strict(), Field(ge=0, le=INTEGER_MAX), BeforeValidator(whole_number)]
Seconds = Annotated[int, Strict(), Field(ge=1, le=3_600), BeforeValidator(whole_number)]
Time = Annotated[
    int,
    PlainValidator(read_time),
    PlainSerializer(rfc3339),
    WithJsonSchema({"type": "string", "format": "date-time", "pattern": TIME_PATTERN}),
]
