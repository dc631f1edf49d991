"""What a turn has to say to logs and metrics. Names and fields are catalogued in `engine/telemetry.py`; never
personal data."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Note:
    name: str
    fields: Mapping[str, object]
