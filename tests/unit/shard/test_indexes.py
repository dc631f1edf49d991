"""The narrow tables answer by an index: no turn may walk through a location."""

import sqlite3

import pytest

from processor.highlevel.requests import Question, QuestionKind
from processor.shard import indexes
from processor.shard.indexes import Indexes, schema

asked = Question(QuestionKind.EMAIL, "a@example.com")


class Recorder:
    """A connection that remembers what it is asked."""

    def __init__(self) -> None:
        self.connection = sqlite3.connect(":memory:")
        self.connection.executescript(schema)
        self.asked: list[tuple[str, object]] = []

    def execute(self, query: str, values: object = ()) -> sqlite3.Cursor:
        self.asked.append((query, values))
        return self.connection.execute(query, values)  # type: ignore[arg-type]  # as given


def plans(name: str, *arguments: object) -> list[str]:
    recorder = Recorder()
    found = getattr(Indexes(recorder), name)(*arguments)  # type: ignore[arg-type]  # it behaves like one
    list(found or ())
    return [
        str(step[3])
        for query, values in recorder.asked
        for step in recorder.connection.execute(f"EXPLAIN QUERY PLAN {query}", values)  # type: ignore[arg-type]
    ]


@pytest.mark.parametrize(
    ("name", "arguments", "index"),
    [
        ("waiting_for", ("location-1", asked, 5), "pending_waiting (location=? AND kind=? AND value=?)"),
        ("matched_by", ("location-1", "contact-1", 5), "pending_matched (location=? AND matched=?)"),
        ("pending", ("location-1", 2, 0, 5), "pending_next (location=? AND queue=? AND at<?)"),
        ("first_job", ("location-1",), "job_next (location=?)"),
        ("locations_of_job", ("request-1", "", 5), "PRIMARY KEY (request=? AND location>?)"),
        ("leads", ("location-1", "", 5), "PRIMARY KEY (key>? AND key<?)"),
        ("locations", ("", 5), "PRIMARY KEY (key>? AND key<?)"),
        ("askers", ("location-1", "", 5), "PRIMARY KEY (location=? AND asker>?)"),
        ("open_requests", ("location-1", "lead-1", 5), "PRIMARY KEY (location=? AND lead=?)"),
    ],
)
def test_a_look_up_uses_its_index(name: str, arguments: tuple[object, ...], index: str) -> None:
    (plan,) = plans(name, *arguments)

    assert plan.endswith(index)


@pytest.mark.parametrize("query", [indexes.count_waiting, indexes.count_in_flight, indexes.oldest_in_flight])
def test_what_a_status_counts_is_not_the_whole_location(query: str) -> None:
    recorder = Recorder()
    (step, *_) = recorder.connection.execute(f"EXPLAIN QUERY PLAN {query}", ("location-1",))

    assert "INDEX pending_" in step[3]
