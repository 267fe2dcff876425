"""A cache with a bound."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

_Key = TypeVar("_Key", bound=Hashable)


_Value = TypeVar("_Value")


class BoundedCache(Generic[_Key, _Value]):
    """A mapping that forgets what was put in first when it is full."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._values: OrderedDict[_Key, _Value] = OrderedDict()

    def get(self, key: _Key) -> _Value | None:
        """What was put in for this key, unless it was forgotten."""
        return self._values.get(key)

    def put(self, key: _Key, value: _Value) -> None:
        """Keep this value for this key."""
        self._values[key] = value
        if len(self._values) > self._size:
            self._values.popitem(last=False)
