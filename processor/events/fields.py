"""The base of the contract's models and their scalars: ids, texts, whole numbers, times. An error never shows the value."""

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Annotated, Any, Final

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    Strict,
    WithJsonSchema,
)

HYDRATABLE: Final = (
    "email",
    "phone",
    "first_name",
    "last_name",
    "company_name",
    "website",
    "address",
    "city",
    "state",
    "postal_code",
    "country",
    "timezone",
)  # the fields of a lead that Hydrant fills
EVENT_ID_MAX: Final = 256  # characters of an event's own id, which results name among their causes
ID_PATTERN: Final = r"^[\x21-\x7e]{1,128}$"
TEXT_MAX: Final = 1_024  # characters
BODY_MAX: Final = 65_536  # characters of a message; 64 KiB as UTF-8 hold no more
INTEGER_MAX: Final = 2**53 - 1  # JavaScript reads no larger one exactly
TIME_PATTERN: Final = (
    r"^(?!0000)[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T"
    r"([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,9})?(Z|[+-]00:00)$"
)

is_time: Final = re.compile(TIME_PATTERN.removesuffix("$")).fullmatch  # Python's $ would let a newline pass
epoch: Final = datetime(1970, 1, 1, tzinfo=UTC)
millisecond: Final = timedelta(milliseconds=1)


class Model(BaseModel):
    """A model is a frozen value. Unknown fields are ignored, and errors never show the input."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True, use_attribute_docstrings=True)


def read_time(value: object) -> int:
    """Return an RFC 3339 time in UTC as ms since 1970, without finer digits. Raise ValueError for anything else."""
    if isinstance(value, str) and (time := is_time(value)):
        try:
            seconds = datetime.fromisoformat(f"{value[:19]}+00:00")
        except ValueError:  # February 30th; the error's own text would show the value
            pass
        else:
            _month, _day, _hour, fraction, _zone = time.groups()
            return (seconds - epoch) // millisecond + int((fraction or ".")[1:4].ljust(3, "0"))
    raise ValueError("not an RFC 3339 time in UTC")


@lru_cache(maxsize=256)  # all records of a turn have the same time
def rfc3339(ms: int) -> str:
    """Return ms since 1970 as the contract writes a time: `2026-01-31T08:30:00.000Z`."""
    return f"{(epoch + ms * millisecond).isoformat(timespec='milliseconds')[:23]}Z"


def whole_number(value: object) -> object:
    """Return a float without a fraction as an integer, as JSON Schema and JavaScript see it."""
    return int(value) if type(value) is float and value.is_integer() else value


def known(*values: object) -> Any:  # pydantic types what Field() makes as Any
    """Return the field of an open enum: it has these values today, and readers tolerate new ones."""
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
