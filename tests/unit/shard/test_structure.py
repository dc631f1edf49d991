"""Each step of a turn does only what its name says, which the syntax trees of `processor/shard/` show.

Decide names outcomes, publish publishes them, schedule changes no stage, report sets no timer.
"""

import ast
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest

shard: Final = Path(__file__).parents[3] / "processor" / "shard"
outcomes: Final = frozenset({"updated", "unchanged", "created", "not_found", "ambiguous"})
answers: Final = frozenset({"lead.synced", "sync.answered"})
same_spelling: Final = {"documents/lead.py": {"created"}}  # when upstream made the lead: a field of its document

Check = Callable[[str, ast.AST], Iterator[int]]  # file, tree → lines that break the rule


def texts(tree: ast.AST, wanted: frozenset[str]) -> Iterator[tuple[int, str]]:
    """Yield the constants that are one of these texts, with their lines."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in wanted:
            yield node.lineno, node.value


def assigned(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield the attributes that are assigned, as `owner.attribute` where the owner ends in a name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            owner = node.value
            name = owner.attr if isinstance(owner, ast.Attribute) else getattr(owner, "id", "")
            yield node.lineno, f"{name}.{node.attr}"


def called(tree: ast.AST) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            yield node.lineno, node.func.attr


def names_an_outcome(file: str, tree: ast.AST) -> Iterator[int]:
    """Only `decide.py` may."""
    if file == "decide.py":
        return
    yield from (line for line, text in texts(tree, outcomes) if text not in same_spelling.get(file, ()))
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "Outcome":
            yield node.lineno


def publishes_results(file: str, tree: ast.AST) -> Iterator[int]:
    """Only `publish.py` may."""
    if file != "publish.py":
        yield from (line for line, _ in texts(tree, answers))


def schedules_with_side_effects(file: str, tree: ast.AST) -> Iterator[int]:
    """`schedule.py` leaves the stages of leads and jobs as they are."""
    if file == "schedule.py":
        yield from (line for line, name in called(tree) if name in ("advance", "scan_anew"))
        yield from (line for line, name in assigned(tree) if name.endswith(".stage"))


def reports_with_side_effects(file: str, tree: ast.AST) -> Iterator[int]:
    """Reports set no timer, no due time and no question; `report.has_news` says that a report is due."""
    if file in ("report.py", "jobs/progress.py"):
        yield from (line for line, name in called(tree) if name == "set_timer")
        changed = (".due", ".question")
        yield from (line for line, name in assigned(tree) if name.endswith(changed) and name != "report.has_news")


@pytest.mark.parametrize(
    "check",
    [names_an_outcome, publishes_results, schedules_with_side_effects, reports_with_side_effects],
    ids=lambda one: one.__name__,
)
def test_no_file_of_the_shard(check: Check) -> None:
    trees = {path.relative_to(shard).as_posix(): ast.parse(path.read_text()) for path in sorted(shard.rglob("*.py"))}

    assert [] == [f"{file}:{line}" for file, tree in trees.items() for line in check(file, tree)]


@pytest.mark.parametrize(
    ("check", "file", "faulty", "clean"),
    [
        (names_an_outcome, "apply.py", "Outcome.FAILED", "[one.value for one in Outcome]"),
        (names_an_outcome, "jobs/walks.py", "done == 'not_found'", "done.failed"),
        (publishes_results, "report.py", "publish_event(turn, 'lead.updates', 'lead.synced')", "'location.status'"),
        (schedules_with_side_effects, "schedule.py", "job.advance(Step.SCAN, now)", "budget.grant(now)"),
        (schedules_with_side_effects, "schedule.py", "job.scan_anew(now)", "job.stage is stage"),
        (schedules_with_side_effects, "schedule.py", "lead.work.stage = stage", "stage.export_from = since"),
        (reports_with_side_effects, "report.py", "turn.set_timer(name, at)", "turn.records.append(record)"),
        (
            reports_with_side_effects,
            "jobs/progress.py",
            "job.due = now",
            "job.report.has_news = report.has_news = False",
        ),
        (reports_with_side_effects, "report.py", "work.question = None", "x = work.question"),
    ],
)
def test_a_check_objects(check: Check, file: str, faulty: str, clean: str) -> None:
    assert list(check(file, ast.parse(faulty)))
    assert not list(check(file, ast.parse(clean)))
