"""Which objects name which users and teams, so that a change of a person wakes those that it concerns alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from berth.kube.resources import REGISTRY_TEAMS, REGISTRY_USERS, Manifest
from berth.reconcile.workqueue import Key

_WORDS = {"User": REGISTRY_USERS.kind, "Robot": REGISTRY_USERS.kind, "Team": REGISTRY_TEAMS.kind}


class Naming:
    """By user and team: the Projects and DockerRepositories shared with them, teams with them, tokens of them."""

    def __init__(self) -> None:
        self._index = Index()

    def changed(self, key: Key, old: Manifest | None, new: Manifest | None) -> None:
        """The object of that key changed, appeared (no `old`) or went (no `new`)."""
        self._index.move(f"{key.kind} {key.name}", set(_named(old)), set(_named(new)))

    def concerned_by(self, person: Manifest) -> Iterator[Key]:
        """The keys of what names a RegistryUser or RegistryTeam, itself or through a team."""
        for key in self._naming(f"{person['kind']} {person['metadata']['name']}"):
            yield key
            if key.kind == REGISTRY_TEAMS.kind:
                yield from self._naming(f"{key.kind} {key.name}")

    def _naming(self, word: str) -> Iterator[Key]:
        return (Key(*entry.split(" ", 1)) for entry in self._index.get(word))


def _named(manifest: Manifest | None) -> Iterator[str]:
    """Each user and team that an object names, as `RegistryUser curator`."""
    spec = (manifest or {}).get("spec") or {}
    lists = (spec.get("sharing"), spec.get("localSharing"), spec.get("members"), _one(spec.get("owner")))
    for subjects in lists:
        for subject in subjects or ():
            kind = _WORDS.get(subject.get("kind", ""))
            if kind is not None and subject.get("name"):
                yield f"{kind} {subject['name']}"


def _one(subject: Mapping[str, Any] | None) -> Iterable[Mapping[str, Any]]:
    return (subject,) if subject else ()


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
