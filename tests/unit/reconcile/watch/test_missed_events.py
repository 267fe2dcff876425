"""When a second watch of Berth's own kinds enqueues anything."""

from __future__ import annotations

from collections.abc import Callable

from berth.kube.resources import DOCKER_REPOSITORIES, PROJECTS, REGISTRY_TEAMS, Manifest, ObjectKey, Resource
from berth.reconcile.watch.missed_events import GRACE_SECONDS, MissedEvents, ObjectEvent
from berth.reconcile.workqueue import Key

TEAM = ("", "t")


class Watching:
    """A second watch beside caches that the test fills, and whose time the test lets pass."""

    def __init__(self) -> None:
        self.cached: dict[ObjectKey, Manifest] = {}
        self.enqueued: list[Key] = []
        self._waiting: list[tuple[Callable[[ObjectEvent], None], ObjectEvent]] = []
        self.watch = MissedEvents(self._live, self.enqueued.append, self._later)

    def _live(self, resource: Resource, key: ObjectKey) -> Manifest | None:
        assert resource == REGISTRY_TEAMS
        return self.cached.get(key)

    def _later(self, seconds: float, call: Callable[[ObjectEvent], None], event: ObjectEvent) -> None:
        assert seconds == GRACE_SECONDS
        self._waiting.append((call, event))

    def cache(self, version: int) -> None:
        self.cached[TEAM] = {"metadata": {"resourceVersion": str(version)}}

    def patience_ends(self) -> None:
        for call, event in self._waiting:
            call(event)


def test_the_event_of_an_own_write_enqueues_nothing_although_it_comes_before_the_answer() -> None:
    watching = Watching()
    watching.cache(100)
    watching.watch.add(ObjectEvent(REGISTRY_TEAMS, TEAM, 101))
    watching.cache(101)
    watching.patience_ends()
    assert watching.enqueued == []


def test_a_change_of_which_the_caches_missed_enqueues_its_object() -> None:
    watching = Watching()
    watching.cache(100)
    watching.watch.add(ObjectEvent(REGISTRY_TEAMS, TEAM, 101))
    watching.patience_ends()
    assert watching.enqueued == [Key("RegistryTeam", "t")]


def test_what_is_cached_already_is_not_new() -> None:
    known = {"metadata": {"resourceVersion": "100"}}
    for version, is_new in ((99, False), (100, False), (101, True)):
        assert ObjectEvent(REGISTRY_TEAMS, TEAM, version).is_new_to(known) is is_new
        assert ObjectEvent(REGISTRY_TEAMS, TEAM, version, gone=True).is_new_to(known) is is_new


def test_an_unknown_object_is_new_and_its_deletion_is_not() -> None:
    assert ObjectEvent(REGISTRY_TEAMS, TEAM, 1).is_new_to(None)
    assert not ObjectEvent(REGISTRY_TEAMS, TEAM, 1, gone=True).is_new_to(None)


def test_an_event_is_of_the_object_in_its_namespace() -> None:
    assert ObjectEvent(DOCKER_REPOSITORIES, ("berth-a", "r"), 1).key == Key("DockerRepository", "berth-a/r")
    assert ObjectEvent(PROJECTS, ("", "a"), 1).key == Key("Project", "a")
