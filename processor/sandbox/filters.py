"""The filters of a search: read into a tree, looked up where an index serves, tested where none does (contract.md §4.1)."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, Final

from processor.sandbox.fields import Field, field, operators
from processor.sandbox.index import Index
from processor.sandbox.problems import Problem, unprocessable
from processor.sandbox.shapes import Contact, milliseconds

value_limit: Final = 75  # characters; contract.md §4.1
for_ever: Final = (-(2**62), 2**62)
Test = Callable[[Contact], bool]


@dataclass(frozen=True, slots=True)
class Leaf:
    name: str
    field: Field
    operator: str
    value: Any  # str, number or boolean; (first, last) of a range; None where the operator takes none


@dataclass(frozen=True, slots=True)
class Group:
    any: bool  # OR, else AND
    members: tuple["Leaf | Group", ...]


Filter = Leaf | Group
everything: Final = Group(any=False, members=())


def parse(given: Any) -> Filter:  # any JSON
    """The top level's list: AND. Problem: what HighLevel would refuse."""
    if not isinstance(given, list):
        raise unprocessable("filters must be an array")
    return Group(any=False, members=tuple(_node(item) for item in given))


def _node(item: Any) -> Filter:
    if not isinstance(item, dict):
        raise unprocessable("each value in nested property filters must be an object")
    allowed = {"group", "filters"} if "group" in item else {"field", "operator", "value"}
    if stray := sorted(item.keys() - allowed):
        raise unprocessable(*(f"property {name} should not exist" for name in stray))
    return _group(item) if "group" in item else _leaf(item)


def _group(item: dict[str, Any]) -> Group:
    if item["group"] not in ("AND", "OR"):
        raise unprocessable("group must be one of the following values: AND, OR")
    if not isinstance(item.get("filters"), list) or not item["filters"]:
        raise unprocessable("filters should not be empty")
    return Group(item["group"] == "OR", tuple(_node(member) for member in item["filters"]))


def _leaf(item: dict[str, Any]) -> Leaf:
    name, operator, value = item.get("field"), item.get("operator"), item.get("value")
    if not isinstance(name, str) or not isinstance(operator, str):
        raise unprocessable("field must be a string", "operator must be a string")
    found = field(name)
    if found is None:
        raise Problem(400, f"Invalid field {name}")
    if operator not in operators or operator not in found.operators:
        raise Problem(400, f"Invalid operator {operator} for field {name}")
    if operator in ("exists", "not_exists"):
        return Leaf(name, found, operator, None)
    if operator == "range":
        return Leaf(name, found, operator, _range(value))
    if not isinstance(value, str if "contains" in operator else (str, int, float)):
        raise unprocessable("Invalid value")
    if isinstance(value, str):
        if len(value) > value_limit:
            raise unprocessable(f"value must be shorter than or equal to {value_limit} characters")
        value = value.lower() if found.folded else value
    return Leaf(name, found, operator, value)


def _range(value: Any) -> tuple[float, float]:
    if not isinstance(value, dict) or not value or value.keys() - {"gte", "lte"}:
        raise unprocessable("Invalid Operator")
    first, last = for_ever
    return _edge(value.get("gte", first)), _edge(value.get("lte", last))


def _edge(value: Any) -> float:
    try:
        return milliseconds(value) if isinstance(value, str) else value + 0
    except (TypeError, ValueError):
        raise unprocessable("Invalid value") from None


def test(node: Filter) -> Test:
    if isinstance(node, Group):
        tests = [test(member) for member in node.members]
        if node.any:
            return lambda contact: any(passes(contact) for passes in tests)
        return lambda contact: all(passes(contact) for passes in tests)
    read, value = node.field.read, node.value
    match node.operator:
        case "eq":
            return lambda contact: _equals(read(contact), value)
        case "not_eq":
            return lambda contact: not _equals(read(contact), value)
        case "contains":
            return lambda contact: _contains(read(contact), value)
        case "not_contains":
            return lambda contact: not _contains(read(contact), value)
        case "exists":
            return lambda contact: read(contact) not in (None, "", ())
        case "not_exists":
            return lambda contact: read(contact) in (None, "", ())
    first, last = value
    return lambda contact: _within(read(contact), first, last)


def _equals(held: Any, value: Any) -> bool:
    return bool(value in held if isinstance(held, tuple) else held == value)


def _contains(held: Any, value: str) -> bool:
    return any(value in text for text in (held if isinstance(held, tuple) else (held,)) if isinstance(text, str))


def _within(held: Any, first: float, last: float) -> bool:
    return isinstance(held, int | float) and first <= held <= last


def candidates(node: Filter, index: Index) -> tuple[Collection[Contact], bool] | None:
    """Contacts among which all matches are, and whether they are exactly the matches; None: no index helps."""
    if isinstance(node, Leaf):
        return _looked_up(node, index)
    found = [candidates(member, index) for member in node.members]
    if node.any:
        if None in found:
            return None
        united = {contact.id: contact for some in found if some for contact in some[0]}
        return united.values(), all(some[1] for some in found if some)
    helpful = [some for some in found if some is not None]
    if not helpful:
        return None
    fewest, exact = min(helpful, key=lambda some: len(some[0]))
    return fewest, exact and len(node.members) == 1


def _looked_up(leaf: Leaf, index: Index) -> tuple[Collection[Contact], bool] | None:
    match leaf.name, leaf.operator:
        case "id", "eq":
            contact = index.by_id.get(leaf.value)
            return (contact,) if contact else (), True
        case "email", "eq":
            return index.by_email.find(leaf.value), True
        case "phone", "eq":
            return index.by_phone.find(leaf.value), True
        case ("dateAdded" | "dateUpdated") as name, "range":
            return index.between(name, *leaf.value), True
    return None
