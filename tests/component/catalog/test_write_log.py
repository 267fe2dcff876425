"""The catalog's content after pushes and deletes, on SQLite and on PostgreSQL."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from berth.catalog.index import queries
from berth.catalog.index.write_log import SETTLED_RETENTION, UnknownWriteError, WriteRefusedError
from berth.catalog.model import Cause, Intent, LastPush, RepositoryKey, WriteKind
from berth.oci import manifest as manifests
from tests.kit.catalog.contents import ALIGNER, Catalog, digest, image, index


async def test_a_push_is_recorded_with_time_person_type_and_size(catalog: Catalog) -> None:
    body = image(size=5000)
    await catalog.push(body, "v1")

    view = await catalog.view()
    (tag,) = view.tags
    assert (tag.name, tag.digest, tag.media_type) == ("v1", digest(body), manifests.OCI_MANIFEST)
    assert tag.size == len(body) + 10 + 5000
    assert (tag.pushed_at, tag.pushed_by) == (catalog.now, "curator")
    assert (view.tag_count, view.digest_count) == (1, 1)
    assert view.last_push == LastPush("v1", digest(body), catalog.now, "curator")
    assert view.object_due
    assert catalog.changed == [ALIGNER]


async def test_an_announced_write_shows_nowhere_until_it_is_committed(catalog: Catalog) -> None:
    await catalog.announce(image(), "v1")
    async with catalog.database.reading() as session:
        assert await queries.repository_view(session, ALIGNER) is None
    assert catalog.changed == []


async def test_a_moved_tag_shows_its_new_digest_and_keeps_its_history(catalog: Catalog) -> None:
    first, second = image(salt="1"), image(salt="2")
    await catalog.push(first, "v1", by="curator")
    await catalog.push(second, "v1", by="reviewer")

    assert (await catalog.tags())["v1"].digest == digest(second)
    newest, oldest = await catalog.history("v1")
    assert (oldest.from_digest, oldest.to_digest, oldest.by, oldest.cause) == (
        None,
        digest(first),
        "curator",
        Cause.PUSH,
    )
    assert (newest.from_digest, newest.to_digest, newest.by) == (digest(first), digest(second), "reviewer")
    assert newest.at - oldest.at == timedelta(seconds=1)
    assert newest.client == "docker/29.0"
    assert (await catalog.view()).digest_count == 2


async def test_a_tag_pushed_again_to_the_same_digest_has_not_moved(catalog: Catalog) -> None:
    await catalog.push(image(), "v1", by="curator")
    await catalog.push(image(), "v1", by="reviewer")

    assert len(await catalog.history("v1")) == 1
    assert (await catalog.tags())["v1"].pushed_by == "reviewer"


async def test_an_index_counts_its_children(catalog: Catalog) -> None:
    amd, arm = image(size=100, salt="amd"), image(size=200, salt="arm")
    await catalog.push(amd)
    await catalog.push(arm)
    whole = index(amd, arm)
    await catalog.push(whole, "v1")

    tag = (await catalog.tags())["v1"]
    assert tag.media_type == manifests.OCI_INDEX
    assert tag.size == len(whole) + len(amd) + len(arm) + 100 + 200 + 2 * 10
    view = await catalog.view()
    assert (view.tag_count, view.digest_count) == (1, 3)


async def test_an_artifact_is_found_by_its_subject(catalog: Catalog) -> None:
    base = image()
    subject = {"mediaType": manifests.OCI_MANIFEST, "digest": digest(base), "size": len(base)}
    sbom = image(salt="sbom", subject=subject, artifactType="application/x-sbom", annotations={"tool": "syft"})
    plain = image(salt="plain", subject=subject)
    await catalog.push(base, "v1")
    await catalog.push(sbom)
    await catalog.push(plain)

    async with catalog.database.reading() as session:
        found = await queries.referrers(session, ALIGNER, digest(base))
        sboms = await queries.referrers(session, ALIGNER, digest(base), "application/x-sbom")
        elsewhere = await queries.referrers(session, RepositoryKey("genomics", "other"), digest(base))
    assert [(it.digest, it.artifact_type, it.size, it.annotations) for it in found] == [
        (digest(sbom), "application/x-sbom", len(sbom), {"tool": "syft"}),
        (digest(plain), "application/vnd.oci.image.config.v1+json", len(plain), {}),
    ]
    assert [it.digest for it in sboms] == [digest(sbom)]
    assert elsewhere == []
    assert (await catalog.view()).last_push == LastPush(None, digest(plain), catalog.now, "curator")


async def test_a_deleted_tag_is_gone_and_its_history_stays(catalog: Catalog) -> None:
    await catalog.push(image(), "v1")
    await catalog.delete("v1", by="reviewer")

    assert await catalog.tags() == {}
    gone, _came = await catalog.history("v1")
    assert (gone.from_digest, gone.to_digest, gone.by, gone.cause) == (digest(image()), None, "reviewer", Cause.DELETE)
    assert (await catalog.view()).digest_count == 1


async def test_a_deleted_digest_takes_its_tags_along(catalog: Catalog) -> None:
    await catalog.push(image(salt="1"), "v1")
    await catalog.push(image(salt="1"), "latest")
    await catalog.push(image(salt="2"), "v2")
    await catalog.delete(digest(image(salt="1")))

    assert set(await catalog.tags()) == {"v2"}
    assert (await catalog.view()).digest_count == 1
    assert {move.tag for move in await catalog.history() if move.cause is Cause.DELETE} == {"v1", "latest"}


async def test_deleting_what_was_never_recorded_changes_nothing(catalog: Catalog) -> None:
    await catalog.delete("v1")
    assert await catalog.history() == []


async def test_a_commit_may_be_repeated(catalog: Catalog) -> None:
    write = await catalog.announce(image(), "v1")
    await catalog.write_log.commit(write, image())
    moves, view = await catalog.history(), await catalog.view()
    catalog.advance(seconds=5)
    await catalog.write_log.commit(write, image())

    assert await catalog.history() == moves
    assert await catalog.view() == view


async def test_an_unknown_write_is_reported(catalog: Catalog) -> None:
    with pytest.raises(UnknownWriteError, match="There is no write nothing"):
        await catalog.write_log.commit("nothing", image())
    with pytest.raises(UnknownWriteError):
        await catalog.write_log.abandon("nothing")


async def test_an_abandoned_write_records_nothing_and_may_be_abandoned_again(catalog: Catalog) -> None:
    write = await catalog.announce(image(), "v1")
    await catalog.write_log.abandon(write)
    await catalog.write_log.abandon(write)
    assert await catalog.history() == []


async def test_a_committed_write_cannot_be_abandoned(catalog: Catalog) -> None:
    write = await catalog.announce(image(), "v1")
    await catalog.write_log.commit(write, image())
    with pytest.raises(WriteRefusedError, match="recorded already"):
        await catalog.write_log.abandon(write)
    assert set(await catalog.tags()) == {"v1"}


async def test_a_commit_that_comes_after_its_write_was_given_up_counts_and_is_looked_at_again(catalog: Catalog) -> None:
    write = await catalog.announce(image(), "v1")
    await catalog.write_log.abandon(write)
    await catalog.write_log.commit(write, image())

    assert set(await catalog.tags()) == {"v1"}
    async with catalog.database.reading() as session:
        assert [it.id for it in await queries.unsettled(session, catalog.now)] == [write]


@pytest.mark.parametrize(
    ("body", "said"),
    [(image(salt="other"), "is not the announced sha256:"), (None, "without its manifest")],
)
async def test_another_manifest_than_announced_is_refused(catalog: Catalog, body: bytes | None, said: str) -> None:
    write = await catalog.announce(image(), "v1")
    with pytest.raises(WriteRefusedError, match=said):
        await catalog.write_log.commit(write, body)
    assert await catalog.history() == []


async def test_a_manifest_that_is_none_is_refused(catalog: Catalog) -> None:
    body = b'{"schemaVersion": 2}'
    write = await catalog.write_log.announce(
        Intent(WriteKind.PUSH, ALIGNER, "v1", digest(body), manifests.OCI_MANIFEST, "curator")
    )
    with pytest.raises(WriteRefusedError, match="config"):
        await catalog.write_log.commit(write, body)


async def test_two_pushes_of_one_tag_at_the_same_time_are_both_looked_at_again(catalog: Catalog) -> None:
    first = await catalog.announce(image(salt="1"), "v1")
    catalog.advance(seconds=1)
    second = await catalog.announce(image(salt="2"), "v1")
    await catalog.write_log.commit(second, image(salt="2"))
    await catalog.write_log.commit(first, image(salt="1"))

    async with catalog.database.reading() as session:
        assert {it.id for it in await queries.unsettled(session, catalog.now - timedelta(hours=1))} == {first, second}


async def test_pushes_of_different_tags_at_the_same_time_need_no_second_look(catalog: Catalog) -> None:
    writes = [await catalog.announce(image(salt=str(n)), f"v{n}") for n in range(3)]
    for n, write in enumerate(writes):
        await catalog.write_log.commit(write, image(salt=str(n)))

    async with catalog.database.reading() as session:
        assert await queries.unsettled(session, catalog.now - timedelta(hours=1)) == []


async def test_many_first_pushes_at_the_same_time_are_all_recorded(catalog: Catalog) -> None:
    await asyncio.gather(*(catalog.push(image(salt=str(n)), f"v{n}") for n in range(12)))

    view = await catalog.view()
    assert (view.tag_count, view.digest_count) == (12, 12)


async def test_tags_that_differ_in_case_are_two_tags(catalog: Catalog) -> None:
    await catalog.push(image(salt="1"), "Latest")
    await catalog.push(image(salt="2"), "latest")
    assert {name: tag.digest for name, tag in (await catalog.tags()).items()} == {
        "Latest": digest(image(salt="1")),
        "latest": digest(image(salt="2")),
    }


async def test_an_object_shows_the_newest_thirty_tags_and_counts_all(catalog: Catalog) -> None:
    for n in range(32):
        await catalog.push(image(salt=str(n)), f"v{n}")

    view = await catalog.view()
    assert [tag.name for tag in view.tags] == [f"v{n}" for n in range(31, 1, -1)]
    assert (view.tag_count, view.digest_count) == (32, 32)


async def test_names_are_listed_in_byte_order_whatever_the_locale(catalog: Catalog) -> None:
    paths = ["a-b", "a.b", "a/b", "a_b", "ab", "b"]
    for path in reversed(paths):
        await catalog.push(image(), "Z", key=RepositoryKey("genomics", path))
    await catalog.push(image(), "v1", key=RepositoryKey("other", "a"))

    async with catalog.database.reading() as session:
        assert await queries.repositories(session, "genomics") == sorted(paths)
        assert await queries.repositories(session, "genomics", after="a/b", limit=2) == ["a_b", "ab"]
        assert await queries.repositories(session, "unknown") == []


async def test_history_is_read_page_by_page(catalog: Catalog) -> None:
    for n in range(5):
        await catalog.push(image(salt=str(n)), "v1")
    everything = await catalog.history("v1")
    async with catalog.database.reading() as session:
        row = await queries.repository_id(session, ALIGNER)
        assert row is not None
        assert await queries.history(session, row, "v1", before=everything[1].id, limit=2) == everything[2:4]


async def test_settled_writes_are_forgotten_and_what_they_did_is_not(catalog: Catalog) -> None:
    write = await catalog.announce(image(), "v1")
    await catalog.write_log.commit(write, image())
    waiting = await catalog.announce(image(salt="2"), "v2")
    catalog.advance(seconds=SETTLED_RETENTION.total_seconds() + 1)
    await catalog.write_log.delete_settled()

    with pytest.raises(UnknownWriteError):
        await catalog.write_log.commit(write, image())
    await catalog.write_log.commit(waiting, image(salt="2"))
    assert set(await catalog.tags()) == {"v1", "v2"}


async def test_huge_annotations_are_cut_and_the_rest_is_kept(catalog: Catalog) -> None:
    subject = {"mediaType": manifests.OCI_MANIFEST, "digest": digest(image()), "size": 1}
    await catalog.push(image(subject=subject, annotations={"a": "\0kept", "b": "x" * 100_000, "c": "ſ"}))
    async with catalog.database.reading() as session:
        (found,) = await queries.referrers(session, ALIGNER, digest(image()))
    assert found.annotations == {"a": "\0kept", "c": "ſ"}
