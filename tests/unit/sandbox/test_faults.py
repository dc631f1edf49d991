"""The fault that strikes a call, and its removal."""

from typing import Any

import pytest

from processor.sandbox.faults import Fault, FaultTable, parse_fault

poisoned = {
    "filters": [
        {
            "group": "OR",
            "filters": [{"field": "email", "operator": "eq", "value": f"{name}@example.com"} for name in ("a", "Bad")],
        }
    ]
}


def strikes(faults: FaultTable, n: int, location: str = "here", call: str = "search", body: Any = None) -> list[bool]:
    return [faults.draw_fault(location, call, body) is not None for _ in range(n)]


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (Fault("hang"), True),
        (Fault("hang", location="here"), True),
        (Fault("hang", location="there"), False),
        (Fault("hang", call="search"), True),
        (Fault("hang", call="contact"), False),
        (Fault("hang", email="bad@example.com"), True),
        (Fault("hang", email="c@example.com"), False),
        (Fault("hang", filters_over=1), True),
        (Fault("hang", filters_over=2), False),
        (Fault("hang", probability=0), False),
    ],
)
def test_a_fault_strikes_the_calls_that_it_fits(fault: Fault, expected: bool) -> None:
    faults = FaultTable()
    faults.add(fault)

    assert [expected] == strikes(faults, 1, body=poisoned)


def test_a_poisoned_email_leaves_other_bodies_alone() -> None:
    faults = FaultTable()
    faults.add(Fault("status", email="bad@example.com"))

    bodies: list[Any] = [
        None,
        3,
        [],
        {},
        {"filters": "x"},
        {"filters": [3, {"field": "id", "value": "bad@example.com"}]},
    ]
    for body in bodies:
        assert [False] == strikes(faults, 1, body=body)


def test_a_fault_goes_after_its_last_strike() -> None:
    faults = FaultTable()
    faults.add(Fault("reset", times=2, call="search"))

    assert [False] == strikes(faults, 1, call="contact")
    assert [True, True, False] == strikes(faults, 3)
    assert [] == faults.table()


def test_the_first_that_fits_strikes() -> None:
    faults = FaultTable()
    faults.add(Fault("reset", times=1))
    faults.add(Fault("hang"))
    drawn = [faults.draw_fault("here", "search", None) for _ in range(2)]

    assert ["reset", "hang"] == [fault.kind for fault in drawn if fault]


def test_the_same_seed_strikes_the_same_calls() -> None:
    def run(seed: int) -> list[bool]:
        faults = FaultTable(seed)
        faults.add(Fault("reset", probability=0.3))
        return strikes(faults, 300)

    assert run(1) == run(1) != run(2)
    assert 50 < sum(run(1)) < 130


def test_faults_are_cleared_by_id_by_location_or_all() -> None:
    faults = FaultTable()
    first, _, _, _ = (faults.add(Fault("hang", location=where)) for where in ("here", "here", "there", None))

    assert 1 == faults.clear(id=first)
    assert 1 == faults.clear(location="here")
    assert ["there", None] == [entry["location"] for entry in faults.table()]
    assert 2 == faults.clear()


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"kind": "explode"},
        {"kind": "hang", "often": 3},
        {"kind": "hang", "probability": 2},
        {"kind": "hang", "times": 0},
        {"kind": "hang", "times": "3"},
        {"kind": "status", "status": 200},
        {"kind": "status", "retry_after": "soon"},
        {"kind": "slow", "delay_ms": -1},
    ],
)
def test_a_wrong_fault_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"^fault: "):
        parse_fault(given)
