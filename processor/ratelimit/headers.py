"""The rate limits in a response's headers (contract.md §2). Nothing here raises, whatever comes."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Final

retry_after_ms: Final = (1_000, 3_600_000)  # DESIGN §6.1: a Retry-After is clamped to these
interval_at_most_ms: Final = 3_600_000
day_ms: Final = 86_400_000
number_form: Final = re.compile(r"[0-9]{1,15}")
seconds_form: Final = re.compile(r"([0-9]{1,15})(\.[0-9]{1,15})?")


@dataclass(frozen=True, slots=True)
class RateHeaders:
    """These are a response's rate-limit headers; an absent or insane header is None."""

    limit: int | None = None
    remaining: int | None = None
    interval_ms: int | None = None
    daily_remaining: int | None = None
    daily_reset_ms: int | None = None  # [?] contract.md §2: from now, not since 1970, as users report


def rate_headers(headers: Mapping[str, str]) -> RateHeaders | None:
    """Return the rate limits in `headers`, whose names are in lower case; None if there are none."""

    def number(name: str, least: int = 0, most: int = 1_000_000_000) -> int | None:
        text = headers.get(f"x-ratelimit-{name}", "").strip()
        return int(text) if number_form.fullmatch(text) and least <= int(text) <= most else None

    read = RateHeaders(
        limit=number("max", least=1),
        remaining=number("remaining"),
        interval_ms=number("interval-milliseconds", least=1, most=interval_at_most_ms),
        daily_remaining=number("daily-remaining"),
        daily_reset_ms=number("daily-reset", least=1, most=day_ms),
    )
    return read if read != RateHeaders() else None


def retry_after(headers: Mapping[str, str], now_ms: int) -> int | None:
    """Return the wait in ms that a 429 asks for, clamped to 1 s … 1 h; None if it names none.

    [?] contract.md §2: no 429 was ever captured, so both forms of HTTP are read and neither is relied on.
    """
    text = headers.get("retry-after", "").strip()
    if seconds := seconds_form.fullmatch(text):
        rest = 1_000 if seconds[2] else 0  # a part of a second counts as a whole one: better late than early
        ms = int(seconds[1]) * 1_000 + rest
    elif (at := _date_ms(text)) is None:
        return None
    else:
        sent = _date_ms(headers.get("date", ""))  # by the same clock
        ms = at - (now_ms if sent is None else sent)
    least, most = retry_after_ms
    return min(max(ms, least), most)


def _date_ms(text: str) -> int | None:
    try:
        moment = parsedate_to_datetime(text)
        return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()) * 1_000
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
