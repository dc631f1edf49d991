"""The code speaks the field's language: this file holds what a syntax tree can hold. It imports no code of `processor/`.

Words that the glossary replaces are listed in `instead_of`. The exceptions:

* `settled_at` is a method of the clock: nothing is granted before that time. `unsettled` is a word of its own.
* Strings aren't checked. Topics, headers (`hydrant-rehomed`), metrics, log fields and stored keys keep their names.
"""

import ast
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

import pytest

root: Final = Path(__file__).parents[2]
instead_of: Final = {  # what to write → the words that it replaces
    "ingest": ("hear", "heard"),
    "decide": ("settle", "settled"),
    "publish, report": ("tell", "told", "said"),
    "dead-letter": ("bury", "buried"),
    "forward to home, misrouted": ("rehome", "rehomed", "astray"),
    "job counters": ("tally", "tallies"),
    "unreported, borrowed": ("untold", "lent"),
    "complete (a slot), external cap": ("land", "landed", "tight"),
    "lease, quarantined input": ("tenure", "culprit"),
    "silence, once per interval": ("hush", "seldom"),
    "workload, ground truth": ("tale", "tales", "teller", "fate", "fates", "befell", "promised", "toil", "crowd"),
    "faults": ("weather", "ailment", "ailments", "ailing"),
    "the noun that is meant": ("whose", "whoever", "whatever", "nobody", "nobodys"),
    "timers": ("agenda",),
    "multi-value search": ("ors",),
}
better: Final = {word: term for term, words in instead_of.items() for word in words}
allowed: Final = frozenset({"settled_at"})
openers: Final = ("What", "How", "Of", "Whether", "Whose", "Who", "As", "Whatever")
lines_at_most: Final = 300
function_lines_at_most: Final = 40

Function = ast.FunctionDef | ast.AsyncFunctionDef
Documented = ast.Module | ast.ClassDef | Function
Found = Iterator[tuple[int, str]]  # line, and the fault there


@dataclass(frozen=True)
class Source:
    """A file of the repository, parsed."""

    path: str
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)


def sources(*folders: str) -> Sequence[Source]:
    paths = sorted(path for folder in folders for path in (root / folder).rglob("*.py"))
    return [Source(path.relative_to(root).as_posix(), path.read_text()) for path in paths]


product: Final = sources("processor")
everything: Final = (*product, *sources("tests"))


def listed(check: Callable[[Source], Found], files: Sequence[Source]) -> str:
    """Return all faults, a line each."""
    return "\n".join(f"{source.path}:{line}: {fault}" for source in files for line, fault in check(source))


def is_public(name: str) -> bool:
    return not name.startswith("_") and name != "main"


def module_names(source: Source) -> Iterator[tuple[str, int]]:
    """Yield the public names that a module defines, with their lines."""
    for node in source.tree.body:
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                named: list[ast.expr] = [ast.Name(node.name)]
            case ast.Assign():
                named = [one for target in node.targets for one in getattr(target, "elts", [target])]
            case ast.AnnAssign():
                named = [node.target]
            case _:
                continue
        yield from ((one.id, node.lineno) for one in named if isinstance(one, ast.Name) and is_public(one.id))


def twins(files: Sequence[Source]) -> str:
    """Return the public names that several modules define, a line each."""
    places = defaultdict[str, dict[str, int]](dict)
    for source in files:
        for name, line in module_names(source):
            places[name].setdefault(source.path, line)
    shared = {name: where for name, where in sorted(places.items()) if len(where) > 1}
    return "\n".join(
        f"{name}: {', '.join(f'{path}:{line}' for path, line in at.items())}" for name, at in shared.items()
    )


def renamed_imports(source: Source) -> Found:
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield from ((node.lineno, f"{one.name} as {one.asname}") for one in node.names if one.asname)


def identifiers(source: Source) -> Iterator[tuple[int, str]]:
    """Yield every name that the file itself gives or uses, its own included."""
    yield 1, Path(source.path).stem
    for node in ast.walk(source.tree):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield node.lineno, name
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.arg(arg=name):
                yield node.lineno, name
            case ast.keyword(arg=str(name)) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
                yield node.lineno, name
            case ast.alias(name=name):
                yield node.lineno, name


def parts(name: str) -> set[str]:
    """Return the words of a name, in lower case: `_` and camel case part them."""
    return {part.lower() for part in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name)}


def replaced_words(source: Source) -> Found:
    for line, name in sorted(set(identifiers(source))):
        if name not in allowed and (found := parts(name) & better.keys()):
            yield line, f"{name}: write {'; '.join(sorted({better[word] for word in found}))}"


def docstrings(source: Source) -> Iterator[tuple[Documented, str]]:
    for node in ast.walk(source.tree):
        if isinstance(node, Documented) and (text := ast.get_docstring(node)):
            yield node, text


def line_of(node: Documented) -> int:
    return 1 if isinstance(node, ast.Module) else node.lineno


def docstring_openers(source: Source) -> Found:
    for node, text in docstrings(source):
        if re.match(rf"(?:{'|'.join(openers)})\b", text):
            yield line_of(node), text.splitlines()[0]


def unfinished_docstrings(source: Source) -> Found:
    """Find public docstrings whose first line ends no sentence."""
    for node, text in docstrings(source):
        public = isinstance(node, ast.Module) or not node.name.startswith("_")
        if public and not text.splitlines()[0].endswith((".", "!", "?", ":", ".)", '."')):
            yield line_of(node), text.splitlines()[0]


def long_files(source: Source) -> Found:
    if (count := len(source.text.splitlines())) > lines_at_most:
        yield 1, f"{count} lines"


def long_functions(source: Source) -> Found:
    """Find functions that are too long; their docstrings don't count."""
    for node in ast.walk(source.tree):
        if isinstance(node, Function) and node.end_lineno:
            first, has_docstring = node.body[0], ast.get_docstring(node) is not None
            docstring = (first.end_lineno or 0) - first.lineno + 1 if has_docstring else 0
            if (count := node.end_lineno - node.lineno + 1 - docstring) > function_lines_at_most:
                yield node.lineno, f"{node.name}: {count} lines"


def test_no_public_name_is_defined_twice() -> None:
    found = twins(product)

    assert found == "", f"\n{found}"


@pytest.mark.parametrize(
    "check", [renamed_imports, replaced_words, docstring_openers, unfinished_docstrings], ids=lambda one: one.__name__
)
def test_the_code_is_free_of(check: Callable[[Source], Found]) -> None:
    found = listed(check, everything)

    assert found == "", f"\n{found}"


@pytest.mark.parametrize("check", [long_files, long_functions], ids=lambda one: one.__name__)
def test_the_product_is_free_of(check: Callable[[Source], Found]) -> None:
    found = listed(check, product)

    assert found == "", f"\n{found}"


@pytest.mark.parametrize(
    ("check", "faulty", "clean"),
    [
        (renamed_imports, "from queue import Queue as Line", "from queue import Queue"),
        (replaced_words, "def f(x): return x.whose_lead", "clock.settled_at = unsettled"),
        (replaced_words, "class JobTally: ...", "class Tallow: ..."),
        (docstring_openers, "def f():\n    '''Whether it is.'''", "def f():\n    '''Ask HighLevel.'''"),
        (unfinished_docstrings, "'''The rest of'''", "'''Ask again.\n\nMore of it'''"),
        (long_files, "x = 1\n" * 301, "x = 1\n" * 300),
        (long_functions, "def f():\n" + "    x = 1\n" * 40, "def f():\n    '''Set.'''\n" + "    x = 1\n" * 39),
    ],
)
def test_a_check_objects(check: Callable[[Source], Found], faulty: str, clean: str) -> None:
    assert list(check(Source("a.py", faulty)))
    assert not list(check(Source("a.py", clean)))


def test_a_name_of_two_modules_is_found() -> None:
    first, second, third = Source("a.py", "x: int = 1"), Source("b.py", "def x(): ..."), Source("c.py", "_x = x.y = 1")

    assert twins([first, second, third]) == "x: a.py:1, b.py:1"
