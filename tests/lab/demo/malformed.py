"""Events that no retry cures, as people really send them, and the reason that each is buried for (DESIGN §2, §3)."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

import orjson

from tests.lab.demo.maker import Maker
from tests.lab.demo.truth import Malformed, Message
from tests.lab.demo.wire import event

value_limit: Final = 1_048_576  # bytes


def whole(m: Maker) -> dict[str, Any]:
    """The data of an event that has nothing wrong with it, yet."""
    return m.data(m.someone(), m.contact_id())


def structured(m: Maker, data: dict[str, Any]) -> Message:
    return event("lead.changed", data, f"{m.lead}:1", m.lead, m.now_ms)


def envelope(m: Maker, **changes: Any) -> Message:
    """With these attributes instead; None: without."""
    message = structured(m, whole(m))
    attributes = orjson.loads(message.value) | changes
    return replace(
        message, value=orjson.dumps({name: value for name, value in attributes.items() if value is not None})
    )


def field(m: Maker, **changes: Any) -> Malformed:
    """With these fields instead; `...`: without."""
    data = {name: value for name, value in (whole(m) | changes).items() if value is not ...}
    location = {"location_id": m.location}
    message = structured(m, location | data)  # the key is right even where the field is missing
    attributes = orjson.loads(message.value) | {"data": data}
    return Malformed("invalid_field", replace(message, value=orjson.dumps(attributes)))


def cut_short(m: Maker) -> Malformed:
    message = structured(m, whole(m))
    return Malformed("not_json", replace(message, value=message.value[: len(message.value) * 2 // 3]))


def not_utf8(m: Maker) -> Malformed:
    message = structured(m, whole(m))
    return Malformed("not_json", replace(message, value=message.value.replace(b"lead.changed", b"lead.\xff\xfe")))


def too_large(m: Maker) -> Malformed:
    message = structured(m, whole(m) | {"notes": "x" * value_limit})
    return Malformed("too_large", message)


def strayed_twice(m: Maker) -> Malformed:
    message = structured(m, whole(m))
    return Malformed("misrouted", replace(message, headers=(("hydrant-rehomed", b"1"),), astray=True))


once: Final[tuple[Callable[[Maker], Malformed], ...]] = (
    too_large,
    strayed_twice,
)  # dear, or rare: one of each in a world
usual: Final[tuple[Callable[[Maker], Malformed], ...]] = (
    cut_short,
    not_utf8,
    lambda m: Malformed("not_cloudevent", envelope(m, specversion="0.3")),
    lambda m: Malformed("not_cloudevent", envelope(m, id=None)),
    lambda m: Malformed("not_cloudevent", replace(envelope(m), value=orjson.dumps([whole(m)]))),
    lambda m: Malformed("unknown_type", envelope(m, type="lead.upserted")),
    lambda m: Malformed("invalid_field", envelope(m, data=None)),
    lambda m: field(m, lead_id=...),
    lambda m: field(m, lead_id="no id with spaces"),
    lambda m: field(m, location_id=...),
    lambda m: field(m, revision="seven"),
    lambda m: field(m, revision=-1),
    lambda m: field(m, city="x" * 1_025),
    lambda m: field(m, phone=15550000000),
    lambda m: field(m, created_at="last Tuesday"),
)


def malformed(m: Maker, which: int) -> Malformed:
    """The `which`th one of a world."""
    makers = (*usual[:3], *once, *usual[3:]) if which < len(usual) + len(once) else usual
    return makers[which % len(makers)](m)
