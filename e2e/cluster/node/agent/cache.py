"""A collection of the API server, kept in memory by list and watch."""

from __future__ import annotations

import sys
import threading
import time

from node.api import Api, Object

Key = tuple[str, str]


def key_of(thing: Object) -> Key:
    meta = thing["metadata"]
    return meta.get("namespace", ""), meta["name"]


class Cache(threading.Thread):
    """Holds the newest known state of a collection and sets `changed` whenever it differs."""

    def __init__(self, api: Api, path: str, changed: threading.Event) -> None:
        super().__init__(name=path, daemon=True)
        self._api = api
        self._path = path
        self._changed = changed
        self._lock = threading.Lock()
        self._objects: dict[Key, Object] = {}
        self.filled = threading.Event()

    def objects(self) -> list[Object]:
        """All objects known now, in the order of their names."""
        with self._lock:
            return [self._objects[key] for key in sorted(self._objects)]

    def put(self, thing: Object) -> None:
        """Take over an object that the API server just answered with, ahead of the watch."""
        with self._lock:
            self._objects[key_of(thing)] = thing

    def run(self) -> None:
        while True:
            try:
                self._follow()
            except Exception as problem:
                print(f"{self._path}: {problem}; listing again", file=sys.stderr)
                time.sleep(0.5)

    def _follow(self) -> None:
        listed = self._api.get(self._path)
        with self._lock:
            self._objects = {key_of(item): item for item in listed.get("items", [])}
        self.filled.set()
        self._changed.set()
        version = listed["metadata"]["resourceVersion"]
        for event in self._api.watch(self._path, version):
            if event["type"] == "ERROR":
                return
            if event["type"] != "BOOKMARK":
                self._take(event["type"], event["object"])

    def _take(self, kind: str, thing: Object) -> None:
        with self._lock:
            if kind == "DELETED":
                self._objects.pop(key_of(thing), None)
            else:
                self._objects[key_of(thing)] = thing
        self._changed.set()
