"""The options of `python -m processor.sandbox`, and its world file."""

from pathlib import Path

import orjson
import pytest

from processor.sandbox.__main__ import build_sandbox, load_world, run_sandbox, sandbox_options
from processor.sandbox.directory import Directory
from processor.sandbox.synthetic_contacts import ContactMix
from processor.sandbox.synthetic_messages import synthetic_messages


def test_options_become_a_world(tmp_path: Path) -> None:
    world = tmp_path / "world.jsonl"
    world.write_bytes(orjson.dumps({"location_id": "a", "contact": {"id": "x", "email": "x@example.com"}}) + b"\n\n")
    given = (
        f"--auto-contacts 3 --location b --world {world} --token one --token a=two --limit 25 --daily 10000 "
        "--latency-ms 50 --jitter-ms 10 --index-lag-s 7 --no-raw-names --seed 4 --retry-after date "
        "--mix shared_email=0.5 --mix gaps=0"
    )
    sandbox = build_sandbox(sandbox_options().parse_args(given.split()))

    assert {"one": None, "two": "a"} == sandbox.directory.tokens
    assert (25, 10_000) == (sandbox.gate.limits.per_window, sandbox.gate.limits.per_day)
    assert (50, 10, "date") == (sandbox.style.latency_ms, sandbox.style.jitter_ms, sandbox.style.retry_after)
    assert (7, False, 4) == (sandbox.directory.index_lag_s, sandbox.directory.raw_names, sandbox.directory.seed)
    assert ContactMix(shared_email=0.5, gaps=0) == sandbox.directory.mix
    assert 7 == len(sandbox.directory.contacts)
    assert "x@example.com" == sandbox.directory.contacts["x"].email


def test_contacts_have_synthetic_messages_and_the_worlds(tmp_path: Path) -> None:
    """The world file may name messages before their contacts."""
    world = tmp_path / "world.jsonl"
    lines = [{"message": {"contactId": "y", "body": "Hi"}}, {"contact": {"id": "x"}}, {"contact": {"id": "y"}}]
    world.write_bytes(b"\n".join(orjson.dumps({"location_id": "a", **line}) for line in lines))
    given = f"--messages 2.5 --auto-contacts 20 --location b --world {world} --seed 4"
    directory = build_sandbox(sandbox_options().parse_args(given.split())).directory

    def synthetic_ones(location: str, *contacts: str) -> set[str]:
        return {item.id for contact in contacts for item in synthetic_messages(location, contact, 2.5, 4)}

    there = {item.id for item in directory.location("b").history}
    contacts = {item.id for item in directory.contacts.values() if item.location == "b"}
    here = {item.id: item.body for item in directory.location("a").history}
    own = {item.id for item in directory.contacts.values() if item.location == "a"}
    assert {"x", "y"} < own
    assert 20 == len(contacts)
    assert synthetic_ones("b", *contacts) == there
    assert ["Hi"] == [here[id] for id in here.keys() - synthetic_ones("a", *own)]
    assert synthetic_ones("a", *own) < here.keys()


@pytest.mark.parametrize("option", ["--port=65536", "--auto-contacts=-1", "--daily=0", "--index-lag-s=-1"])
def test_an_option_out_of_range_is_refused(option: str) -> None:
    with pytest.raises(ValueError, match="not a number from"):
        build_sandbox(sandbox_options().parse_args([option]))


def test_without_options_one_token_serves_all_locations() -> None:
    assert {"sandbox": None} == build_sandbox(sandbox_options().parse_args([])).directory.tokens


@pytest.mark.parametrize(
    "line", ["{", "[]", "{}", '{"location_id": "a", "contact": {"email": 3}}', '{"location_id": "a", "message": {}}']
)
def test_a_wrong_line_of_the_world_is_named(tmp_path: Path, line: str) -> None:
    world = tmp_path / "world.jsonl"
    world.write_text(f'{{"location_id": "a", "contact": {{}}}}\n{line}\n')

    with pytest.raises(ValueError, match=r"^world\.jsonl: line 2: "):
        load_world(Directory(), world)


def test_a_wrong_option_ends_with_2(tmp_path: Path) -> None:
    mixes = (["--mix", mix] for mix in ("gaps=2", "gaps=x", "gaps", "oddness=0.1"))
    for wrong in (
        *mixes,
        ["--latency-ms", "-1"],
        ["--messages", "-1"],
        ["--world", str(tmp_path / "none")],
        ["--port", "x"],
    ):
        with pytest.raises(SystemExit) as ended:
            run_sandbox(wrong)

        assert 2 == ended.value.code
