"""When a second watch of Berth's own kinds wakes anything."""

from __future__ import annotations

from collections.abc import Callable

from berth.kube.resources import DOCKER_REPOSITORIES, PROJECTS, REGISTRY_TEAMS, Manifest, ObjectKey, Resource
from berth.reconcile.watch.missed_events import GRACE_SECONDS, MissedEvents, WatchEvent
from berth.reconcile.workqueue import Key

TEAM = ("", "t")


class Watching:
    """A second watch beside caches that the test fills, and whose time the test lets pass."""

    def __init__(self) -> None:
        self.cached: dict[ObjectKey, Manifest] = {}
        self.woken: list[Key] = []
        self._waiting: list[tuple[Callable[[WatchEvent], None], WatchEvent]] = []
        self.watch = MissedEvents(self._live, self.woken.append, self._later)

    def _live(self, resource: Resource, key: ObjectKey) -> Manifest | None:
        assert resource == REGISTRY_TEAMS
        return self.cached.get(key)

    def _later(self, seconds: float, call: Callable[[WatchEvent], None], news: WatchEvent) -> None:
        assert seconds == GRACE_SECONDS
        self._waiting.append((call, news))

    def cache(self, version: int) -> None:
        self.cached[TEAM] = {"metadata": {"resourceVersion": str(version)}}

    def patience_ends(self) -> None:
        for call, news in self._waiting:
            call(news)


def test_the_event_of_an_own_write_wakes_nobody_although_it_comes_before_the_answer() -> None:
    watching = Watching()
    watching.cache(100)
    watching.watch.add(WatchEvent(REGISTRY_TEAMS, TEAM, 101))
    watching.cache(101)
    watching.patience_ends()
    assert watching.woken == []


def test_a_change_of_which_the_caches_do_not_hear_wakes_its_object() -> None:
    watching = Watching()
    watching.cache(100)
    watching.watch.add(WatchEvent(REGISTRY_TEAMS, TEAM, 101))
    watching.patience_ends()
    assert watching.woken == [Key("RegistryTeam", "t")]


def test_what_is_known_already_is_no_news_whoever_wrote_it() -> None:
    known = {"metadata": {"resourceVersion": "100"}}
    for version, news in ((99, False), (100, False), (101, True)):
        assert WatchEvent(REGISTRY_TEAMS, TEAM, version).is_new_to(known) is news
        assert WatchEvent(REGISTRY_TEAMS, TEAM, version, gone=True).is_new_to(known) is news


def test_that_an_unknown_object_is_there_is_news_and_that_it_is_gone_is_none() -> None:
    assert WatchEvent(REGISTRY_TEAMS, TEAM, 1).is_new_to(None)
    assert not WatchEvent(REGISTRY_TEAMS, TEAM, 1, gone=True).is_new_to(None)


def test_news_are_of_the_object_in_its_namespace() -> None:
    assert WatchEvent(DOCKER_REPOSITORIES, ("berth-a", "r"), 1).key == Key("DockerRepository", "berth-a/r")
    assert WatchEvent(PROJECTS, ("", "a"), 1).key == Key("Project", "a")
