"""A least-recently-used cache, bounded by entries and by bytes."""

from __future__ import annotations

import dataclasses
import sys
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping, Set
from typing import Generic, TypeVar

_Key = TypeVar("_Key", bound=Hashable)
_Value = TypeVar("_Value")


class BoundedCache(Generic[_Key, _Value]):
    """A mapping that evicts its least recently used entries beyond `max_entries` or `max_bytes`.

    `size_of` estimates the bytes of a key and its value; it is called once for each `put`. A value of None looks like
    an absent one. Not safe for use by several threads.
    """

    def __init__(
        self, *, max_entries: int, max_bytes: int, size_of: Callable[[_Key, _Value], int] | None = None
    ) -> None:
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._size_of = size_of or _estimated_size
        self._entries: OrderedDict[_Key, tuple[_Value, int]] = OrderedDict()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def size_bytes(self) -> int:
        """Bytes of all entries, as `size_of` estimates them."""
        return self._bytes

    def get(self, key: _Key) -> _Value | None:
        """The value of this key, which is now the most recently used; None when the cache has none."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        self._entries.move_to_end(key)
        return entry[0]

    def put(self, key: _Key, value: _Value) -> None:
        """Store a value and evict what no longer fits. A value larger than the whole cache is not stored."""
        self.pop(key)
        size = self._size_of(key, value)
        if size > self._max_bytes:
            return
        self._entries[key] = (value, size)
        self._bytes += size
        while len(self._entries) > self._max_entries or self._bytes > self._max_bytes:
            _, (_, evicted) = self._entries.popitem(last=False)
            self._bytes -= evicted

    def pop(self, key: _Key) -> _Value | None:
        """Remove a key and return its value; None when the cache has none."""
        entry = self._entries.pop(key, None)
        if entry is None:
            return None
        self._bytes -= entry[1]
        return entry[0]

    def clear(self) -> None:
        """Remove every entry."""
        self._entries.clear()
        self._bytes = 0


def _estimated_size(key: object, value: object) -> int:
    return _deep_size(key) + _deep_size(value)


def _deep_size(thing: object) -> int:
    """Bytes of an object and of what it holds. Objects that are shared are counted each time."""
    size = sys.getsizeof(thing)
    if isinstance(thing, tuple | list | Set):
        return size + sum(map(_deep_size, thing))
    if isinstance(thing, Mapping):
        return size + sum(_deep_size(key) + _deep_size(value) for key, value in thing.items())
    if dataclasses.is_dataclass(thing) and not isinstance(thing, type):
        return size + sum(_deep_size(getattr(thing, field.name)) for field in dataclasses.fields(thing))
    return size
