"""What the catalog knows after pushes and deletes, on SQLite and on PostgreSQL."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from berth.catalog.index import queries
from berth.catalog.index.write_log import KEPT_SETTLED, UnknownWriteError, WriteRefusedError
from berth.catalog.model import Cause, Intent, LastPush, RepositoryKey, WriteKind
from berth.oci import manifest as manifests
from tests.kit.catalog.contents import ALIGNER, Ledger, digest, image, index


async def test_a_push_is_recorded_with_time_person_type_and_size(ledger: Ledger) -> None:
    body = image(size=5000)
    await ledger.push(body, "v1")

    view = await ledger.view()
    (tag,) = view.tags
    assert (tag.name, tag.digest, tag.media_type) == ("v1", digest(body), manifests.OCI_MANIFEST)
    assert tag.size == len(body) + 10 + 5000
    assert (tag.pushed_at, tag.pushed_by) == (ledger.now, "curator")
    assert (view.tag_count, view.digest_count) == (1, 1)
    assert view.last_push == LastPush("v1", digest(body), ledger.now, "curator")
    assert view.object_due
    assert ledger.changed == [ALIGNER]


async def test_an_announced_write_shows_nowhere_until_it_is_committed(ledger: Ledger) -> None:
    await ledger.announce(image(), "v1")
    async with ledger.database.reading() as session:
        assert await queries.repository_view(session, ALIGNER) is None
    assert ledger.changed == []


async def test_a_moved_tag_shows_its_new_digest_and_keeps_its_history(ledger: Ledger) -> None:
    first, second = image(salt="1"), image(salt="2")
    await ledger.push(first, "v1", by="curator")
    await ledger.push(second, "v1", by="reviewer")

    assert (await ledger.tags())["v1"].digest == digest(second)
    newest, oldest = await ledger.history("v1")
    assert (oldest.from_digest, oldest.to_digest, oldest.by, oldest.cause) == (
        None,
        digest(first),
        "curator",
        Cause.PUSH,
    )
    assert (newest.from_digest, newest.to_digest, newest.by) == (digest(first), digest(second), "reviewer")
    assert newest.at - oldest.at == timedelta(seconds=1)
    assert newest.client == "docker/29.0"
    assert (await ledger.view()).digest_count == 2


async def test_a_tag_pushed_again_to_the_same_digest_has_not_moved(ledger: Ledger) -> None:
    await ledger.push(image(), "v1", by="curator")
    await ledger.push(image(), "v1", by="reviewer")

    assert len(await ledger.history("v1")) == 1
    assert (await ledger.tags())["v1"].pushed_by == "reviewer"


async def test_an_index_counts_its_children(ledger: Ledger) -> None:
    amd, arm = image(size=100, salt="amd"), image(size=200, salt="arm")
    await ledger.push(amd)
    await ledger.push(arm)
    whole = index(amd, arm)
    await ledger.push(whole, "v1")

    tag = (await ledger.tags())["v1"]
    assert tag.media_type == manifests.OCI_INDEX
    assert tag.size == len(whole) + len(amd) + len(arm) + 100 + 200 + 2 * 10
    view = await ledger.view()
    assert (view.tag_count, view.digest_count) == (1, 3)


async def test_an_artifact_is_found_by_its_subject(ledger: Ledger) -> None:
    base = image()
    subject = {"mediaType": manifests.OCI_MANIFEST, "digest": digest(base), "size": len(base)}
    sbom = image(salt="sbom", subject=subject, artifactType="application/x-sbom", annotations={"tool": "syft"})
    plain = image(salt="plain", subject=subject)
    await ledger.push(base, "v1")
    await ledger.push(sbom)
    await ledger.push(plain)

    async with ledger.database.reading() as session:
        found = await queries.referrers(session, ALIGNER, digest(base))
        sboms = await queries.referrers(session, ALIGNER, digest(base), "application/x-sbom")
        elsewhere = await queries.referrers(session, RepositoryKey("genomics", "other"), digest(base))
    assert [(it.digest, it.artifact_type, it.size, it.annotations) for it in found] == [
        (digest(sbom), "application/x-sbom", len(sbom), {"tool": "syft"}),
        (digest(plain), "application/vnd.oci.image.config.v1+json", len(plain), {}),
    ]
    assert [it.digest for it in sboms] == [digest(sbom)]
    assert elsewhere == []
    assert (await ledger.view()).last_push == LastPush(None, digest(plain), ledger.now, "curator")


async def test_a_deleted_tag_is_gone_and_its_history_stays(ledger: Ledger) -> None:
    await ledger.push(image(), "v1")
    await ledger.delete("v1", by="reviewer")

    assert await ledger.tags() == {}
    gone, _came = await ledger.history("v1")
    assert (gone.from_digest, gone.to_digest, gone.by, gone.cause) == (digest(image()), None, "reviewer", Cause.DELETE)
    assert (await ledger.view()).digest_count == 1


async def test_a_deleted_digest_takes_its_tags_along(ledger: Ledger) -> None:
    await ledger.push(image(salt="1"), "v1")
    await ledger.push(image(salt="1"), "latest")
    await ledger.push(image(salt="2"), "v2")
    await ledger.delete(digest(image(salt="1")))

    assert set(await ledger.tags()) == {"v2"}
    assert (await ledger.view()).digest_count == 1
    assert {move.tag for move in await ledger.history() if move.cause is Cause.DELETE} == {"v1", "latest"}


async def test_deleting_what_was_never_recorded_changes_nothing(ledger: Ledger) -> None:
    await ledger.delete("v1")
    assert await ledger.history() == []


async def test_a_commit_may_be_repeated(ledger: Ledger) -> None:
    write = await ledger.announce(image(), "v1")
    await ledger.store.commit(write, image())
    moves, view = await ledger.history(), await ledger.view()
    ledger.later(seconds=5)
    await ledger.store.commit(write, image())

    assert await ledger.history() == moves
    assert await ledger.view() == view


async def test_an_unknown_write_is_told_so(ledger: Ledger) -> None:
    with pytest.raises(UnknownWriteError, match="There is no write nothing"):
        await ledger.store.commit("nothing", image())
    with pytest.raises(UnknownWriteError):
        await ledger.store.abandon("nothing")


async def test_an_abandoned_write_records_nothing_and_may_be_abandoned_again(ledger: Ledger) -> None:
    write = await ledger.announce(image(), "v1")
    await ledger.store.abandon(write)
    await ledger.store.abandon(write)
    assert await ledger.history() == []


async def test_a_committed_write_can_not_be_abandoned(ledger: Ledger) -> None:
    write = await ledger.announce(image(), "v1")
    await ledger.store.commit(write, image())
    with pytest.raises(WriteRefusedError, match="recorded already"):
        await ledger.store.abandon(write)
    assert set(await ledger.tags()) == {"v1"}


async def test_a_commit_that_comes_after_its_write_was_given_up_counts_and_is_looked_at_again(ledger: Ledger) -> None:
    write = await ledger.announce(image(), "v1")
    await ledger.store.abandon(write)
    await ledger.store.commit(write, image())

    assert set(await ledger.tags()) == {"v1"}
    async with ledger.database.reading() as session:
        assert [it.id for it in await queries.unsettled(session, ledger.now)] == [write]


@pytest.mark.parametrize(
    ("body", "said"),
    [(image(salt="other"), "is not the announced sha256:"), (None, "without its manifest")],
)
async def test_another_manifest_than_announced_is_refused(ledger: Ledger, body: bytes | None, said: str) -> None:
    write = await ledger.announce(image(), "v1")
    with pytest.raises(WriteRefusedError, match=said):
        await ledger.store.commit(write, body)
    assert await ledger.history() == []


async def test_a_manifest_that_is_none_is_refused(ledger: Ledger) -> None:
    body = b'{"schemaVersion": 2}'
    write = await ledger.store.announce(
        Intent(WriteKind.PUSH, ALIGNER, "v1", digest(body), manifests.OCI_MANIFEST, "curator")
    )
    with pytest.raises(WriteRefusedError, match="config"):
        await ledger.store.commit(write, body)


async def test_two_pushes_of_one_tag_at_the_same_time_are_both_looked_at_again(ledger: Ledger) -> None:
    first = await ledger.announce(image(salt="1"), "v1")
    ledger.later(seconds=1)
    second = await ledger.announce(image(salt="2"), "v1")
    await ledger.store.commit(second, image(salt="2"))
    await ledger.store.commit(first, image(salt="1"))

    async with ledger.database.reading() as session:
        assert {it.id for it in await queries.unsettled(session, ledger.now - timedelta(hours=1))} == {first, second}


async def test_pushes_of_different_tags_at_the_same_time_need_no_second_look(ledger: Ledger) -> None:
    writes = [await ledger.announce(image(salt=str(n)), f"v{n}") for n in range(3)]
    for n, write in enumerate(writes):
        await ledger.store.commit(write, image(salt=str(n)))

    async with ledger.database.reading() as session:
        assert await queries.unsettled(session, ledger.now - timedelta(hours=1)) == []


async def test_many_first_pushes_at_the_same_time_are_all_recorded(ledger: Ledger) -> None:
    await asyncio.gather(*(ledger.push(image(salt=str(n)), f"v{n}") for n in range(12)))

    view = await ledger.view()
    assert (view.tag_count, view.digest_count) == (12, 12)


async def test_tags_that_differ_in_case_are_two_tags(ledger: Ledger) -> None:
    await ledger.push(image(salt="1"), "Latest")
    await ledger.push(image(salt="2"), "latest")
    assert {name: tag.digest for name, tag in (await ledger.tags()).items()} == {
        "Latest": digest(image(salt="1")),
        "latest": digest(image(salt="2")),
    }


async def test_an_object_shows_the_newest_thirty_tags_and_counts_all(ledger: Ledger) -> None:
    for n in range(32):
        await ledger.push(image(salt=str(n)), f"v{n}")

    view = await ledger.view()
    assert [tag.name for tag in view.tags] == [f"v{n}" for n in range(31, 1, -1)]
    assert (view.tag_count, view.digest_count) == (32, 32)


async def test_names_are_listed_in_byte_order_whatever_the_locale(ledger: Ledger) -> None:
    paths = ["a-b", "a.b", "a/b", "a_b", "ab", "b"]
    for path in reversed(paths):
        await ledger.push(image(), "Z", key=RepositoryKey("genomics", path))
    await ledger.push(image(), "v1", key=RepositoryKey("other", "a"))

    async with ledger.database.reading() as session:
        assert await queries.repositories(session, "genomics") == sorted(paths)
        assert await queries.repositories(session, "genomics", after="a/b", limit=2) == ["a_b", "ab"]
        assert await queries.repositories(session, "unknown") == []


async def test_history_is_read_page_by_page(ledger: Ledger) -> None:
    for n in range(5):
        await ledger.push(image(salt=str(n)), "v1")
    everything = await ledger.history("v1")
    async with ledger.database.reading() as session:
        row = await queries.repository_id(session, ALIGNER)
        assert row is not None
        assert await queries.history(session, row, "v1", before=everything[1].id, limit=2) == everything[2:4]


async def test_settled_writes_are_forgotten_and_what_they_did_is_not(ledger: Ledger) -> None:
    write = await ledger.announce(image(), "v1")
    await ledger.store.commit(write, image())
    waiting = await ledger.announce(image(salt="2"), "v2")
    ledger.later(seconds=KEPT_SETTLED.total_seconds() + 1)
    await ledger.store.forget_settled()

    with pytest.raises(UnknownWriteError):
        await ledger.store.commit(write, image())
    await ledger.store.commit(waiting, image(salt="2"))
    assert set(await ledger.tags()) == {"v1", "v2"}


async def test_huge_annotations_are_cut_and_the_rest_is_kept(ledger: Ledger) -> None:
    subject = {"mediaType": manifests.OCI_MANIFEST, "digest": digest(image()), "size": 1}
    await ledger.push(image(subject=subject, annotations={"a": "\0kept", "b": "x" * 100_000, "c": "ſ"}))
    async with ledger.database.reading() as session:
        (found,) = await queries.referrers(session, ALIGNER, digest(image()))
    assert found.annotations == {"a": "\0kept", "c": "ſ"}
