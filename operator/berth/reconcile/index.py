"""A small index that is kept by every change, so that no change costs a look at every object."""

from __future__ import annotations


class Index:
    """Which names stand under which word."""

    def __init__(self) -> None:
        self._names: dict[str, set[str]] = {}

    def get(self, word: str) -> frozenset[str]:
        """The names under a word."""
        return frozenset(self._names.get(word, ()))

    def move(self, name: str, before: set[str], after: set[str]) -> None:
        """A name that stood under the words `before` stands under those `after`."""
        for word in before - after:
            names_there = self._names.get(word, set())
            names_there.discard(name)
            if not names_there:
                self._names.pop(word, None)
        for word in after:
            self._names.setdefault(word, set()).add(name)
