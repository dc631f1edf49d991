"""Read the filters of a search into a tree, look contacts up where an index helps, and test the others (contract.md §4.1)."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, Final

from processor.sandbox.contact_index import ContactIndex
from processor.sandbox.filter_fields import FilterField, filter_field, filter_operators
from processor.sandbox.json_values import parse_time_ms
from processor.sandbox.problems import Problem, unprocessable
from processor.sandbox.stored_contact import StoredContact

max_value_length: Final = 75  # characters; contract.md §4.1
all_time: Final = (-(2**62), 2**62)
ContactTest = Callable[[StoredContact], bool]


@dataclass(frozen=True, slots=True)
class FilterLeaf:
    name: str
    field: FilterField
    operator: str
    value: Any  # str, number or boolean; (first, last) of a range; None where the operator takes none


@dataclass(frozen=True, slots=True)
class FilterGroup:
    any: bool  # OR, else AND
    members: tuple["FilterLeaf | FilterGroup", ...]


FilterNode = FilterLeaf | FilterGroup
no_filter: Final = FilterGroup(any=False, members=())


def parse_filters(given: Any) -> FilterNode:  # any JSON
    """Return the tree; the top level's list means AND. Raise Problem where HighLevel would refuse."""
    if not isinstance(given, list):
        raise unprocessable("filters must be an array")
    return FilterGroup(any=False, members=tuple(_node(item) for item in given))


def _node(item: Any) -> FilterNode:
    if not isinstance(item, dict):
        raise unprocessable("each value in nested property filters must be an object")
    allowed = {"group", "filters"} if "group" in item else {"field", "operator", "value"}
    if stray := sorted(item.keys() - allowed):
        raise unprocessable(*(f"property {name} should not exist" for name in stray))
    return _group(item) if "group" in item else _leaf(item)


def _group(item: dict[str, Any]) -> FilterGroup:
    if item["group"] not in ("AND", "OR"):
        raise unprocessable("group must be one of the following values: AND, OR")
    if not isinstance(item.get("filters"), list) or not item["filters"]:
        raise unprocessable("filters should not be empty")
    return FilterGroup(item["group"] == "OR", tuple(_node(member) for member in item["filters"]))


def _leaf(item: dict[str, Any]) -> FilterLeaf:
    name, operator, value = item.get("field"), item.get("operator"), item.get("value")
    if not isinstance(name, str) or not isinstance(operator, str):
        raise unprocessable("field must be a string", "operator must be a string")
    found = filter_field(name)
    if found is None:
        raise Problem(400, f"Invalid field {name}")
    if operator not in filter_operators or operator not in found.operators:
        raise Problem(400, f"Invalid operator {operator} for field {name}")
    if operator in ("exists", "not_exists"):
        return FilterLeaf(name, found, operator, None)
    if operator == "range":
        return FilterLeaf(name, found, operator, _range(value))
    if not isinstance(value, str if "contains" in operator else (str, int, float)):
        raise unprocessable("Invalid value")
    if isinstance(value, str):
        if len(value) > max_value_length:
            raise unprocessable(f"value must be shorter than or equal to {max_value_length} characters")
        value = value.lower() if found.folded else value
    return FilterLeaf(name, found, operator, value)


def _range(value: Any) -> tuple[float, float]:
    if not isinstance(value, dict) or not value or value.keys() - {"gte", "lte"}:
        raise unprocessable("Invalid Operator")
    first, last = all_time
    return _edge(value.get("gte", first)), _edge(value.get("lte", last))


def _edge(value: Any) -> float:
    try:
        return parse_time_ms(value) if isinstance(value, str) else value + 0
    except (TypeError, ValueError):
        raise unprocessable("Invalid value") from None


def filter_test(node: FilterNode) -> ContactTest:
    if isinstance(node, FilterGroup):
        tests = [filter_test(member) for member in node.members]
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


def _equals(stored: Any, value: Any) -> bool:
    return bool(value in stored if isinstance(stored, tuple) else stored == value)


def _contains(stored: Any, value: str) -> bool:
    return any(value in text for text in (stored if isinstance(stored, tuple) else (stored,)) if isinstance(text, str))


def _within(stored: Any, first: float, last: float) -> bool:
    return isinstance(stored, int | float) and first <= stored <= last


def candidate_contacts(node: FilterNode, index: ContactIndex) -> tuple[Collection[StoredContact], bool] | None:
    """Return contacts that include all matches, and True if they are exactly the matches. Return None if no index helps."""
    if isinstance(node, FilterLeaf):
        return _look_up(node, index)
    found = [candidate_contacts(member, index) for member in node.members]
    if node.any:
        if None in found:
            return None
        united = {contact.id: contact for part in found if part for contact in part[0]}
        return united.values(), all(part[1] for part in found if part)
    helpful = [part for part in found if part is not None]
    if not helpful:
        return None
    fewest, exact = min(helpful, key=lambda part: len(part[0]))
    return fewest, exact and len(node.members) == 1


def _look_up(leaf: FilterLeaf, index: ContactIndex) -> tuple[Collection[StoredContact], bool] | None:
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
