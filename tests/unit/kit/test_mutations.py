"""Mutations are small, each of its own kind, and compile."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.mutants.mutations import mutated_code, mutations

SOURCE = """
LIMIT = 1 < 2

class Thing:
    def has(self, a: int, b: int) -> bool:
        if not a and b in (1, 2):
            return True
        return self.other(a)

    def other(self, a: int) -> bool:
        return 1 <= a != 3
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    made = tmp_path / "thing.py"
    made.write_text(SOURCE)
    return made


def test_every_change_inside_functions_is_found_with_its_line(file: Path) -> None:
    assert sorted((each.line, each.change) for each in mutations(file)) == [
        (6, "and becomes or"),
        (6, "in becomes not in"),
        (6, "not is dropped"),
        (7, "return True is inverted"),
        (8, "the returned value is inverted"),
        (11, "!= becomes == (number 2)"),
        (11, "<= becomes <"),
    ]


def test_each_mutant_differs_from_the_original(file: Path) -> None:
    namespace: dict[str, type] = {}
    exec(compile(SOURCE, str(file), "exec"), namespace)
    original = {name: getattr(namespace["Thing"], name) for name in ("has", "other")}
    calls = [("has", (a, b)) for a in range(4) for b in range(3)] + [("other", (a,)) for a in range(5)]
    thing = namespace["Thing"]()

    def results() -> list[object]:
        return [getattr(thing, name)(*arguments) for name, arguments in calls]

    expected = results()
    for mutation in mutations(file):
        codes = mutated_code(mutation)
        before = {name: function.__code__ for name, function in original.items()}
        for function in original.values():
            function.__code__ = codes[function.__code__.co_qualname, function.__code__.co_firstlineno]
        assert results() != expected, mutation
        for name, function in original.items():
            function.__code__ = before[name]
    assert results() == expected


def test_a_decorated_function_starts_at_its_decorator(tmp_path: Path) -> None:
    made = tmp_path / "decorated.py"
    made.write_text(
        "import functools\n\n@functools.cache\ndef f(a):\n    def g():\n        return not a\n    return g\n"
    )
    (only,) = mutations(made)
    assert (only.function, only.line) == (3, 6)
