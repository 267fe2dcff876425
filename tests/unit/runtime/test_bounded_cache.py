"""A cache bounded by entries and by bytes."""

from __future__ import annotations

from dataclasses import dataclass

from berth.runtime.bounded_cache import BoundedCache


def size_of_text(_key: str, value: str) -> int:
    return len(value)


def text_cache(*, max_entries: int = 100, max_bytes: int = 100) -> BoundedCache[str, str]:
    return BoundedCache(max_entries=max_entries, max_bytes=max_bytes, size_of=size_of_text)


def test_get_returns_what_was_put_and_none_for_anything_else() -> None:
    cache = text_cache()
    cache.put("a", "one")
    assert (cache.get("a"), cache.get("b")) == ("one", None)


def test_the_entry_beyond_the_bound_evicts_the_least_recently_used() -> None:
    cache = text_cache(max_entries=2)
    cache.put("a", "one")
    cache.put("b", "two")
    assert cache.get("a") == "one"
    cache.put("c", "three")
    assert (cache.get("a"), cache.get("b"), cache.get("c")) == ("one", None, "three")


def test_a_value_that_is_put_again_is_the_most_recently_used_and_counts_once() -> None:
    cache = text_cache(max_entries=2)
    for key, value in (("a", "1"), ("b", "2"), ("a", "3"), ("c", "4")):
        cache.put(key, value)
    assert (cache.get("a"), cache.get("b"), cache.get("c")) == ("3", None, "4")
    assert (len(cache), cache.size_bytes) == (2, 2)


def test_the_byte_bound_evicts_as_many_entries_as_the_new_one_needs() -> None:
    cache = text_cache(max_bytes=10)
    for key in "abcde":
        cache.put(key, "..")
    assert (len(cache), cache.size_bytes) == (5, 10)
    cache.put("f", "...")
    assert [key for key in "abcdef" if cache.get(key) is not None] == ["c", "d", "e", "f"]
    assert cache.size_bytes == 9


def test_a_value_that_fills_the_byte_bound_exactly_is_stored() -> None:
    cache = text_cache(max_bytes=10)
    cache.put("a", "." * 10)
    assert cache.get("a") == "." * 10


def test_a_value_larger_than_the_byte_bound_is_not_stored_and_evicts_only_its_predecessor() -> None:
    cache = text_cache(max_bytes=10)
    cache.put("a", "one")
    cache.put("b", "two")
    cache.put("b", "." * 11)
    assert (cache.get("a"), cache.get("b"), cache.size_bytes) == ("one", None, 3)


def test_pop_removes_one_entry_and_its_bytes() -> None:
    cache = text_cache()
    cache.put("a", "one")
    cache.put("b", "two")
    assert (cache.pop("a"), cache.pop("a"), cache.get("a")) == ("one", None, None)
    assert (len(cache), cache.size_bytes) == (1, 3)


def test_clear_removes_every_entry_and_its_bytes() -> None:
    cache = text_cache()
    cache.put("a", "one")
    cache.clear()
    assert (len(cache), cache.size_bytes, cache.get("a")) == (0, 0, None)


@dataclass(frozen=True, slots=True)
class Held:
    """A value as the processes cache them."""

    token: str
    scopes: tuple[str, ...]
    actions: dict[str, frozenset[str]]


def test_without_a_size_function_text_inside_of_a_value_counts() -> None:
    cache: BoundedCache[tuple[str, ...], Held] = BoundedCache(max_entries=10, max_bytes=100_000)
    cache.put(("k" * 10_000,), Held("t" * 10_000, ("s" * 10_000,), {"a" * 10_000: frozenset({"b" * 10_000})}))
    assert 50_000 < cache.size_bytes < 52_000
