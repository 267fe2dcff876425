"""The builder of images: what it keeps, what it makes again, and the files that it writes."""

from __future__ import annotations

import hashlib
import json
import tarfile
from pathlib import Path

import pytest
from imagebuild.cache import Cache, hash_of_files
from imagebuild.failure import BuildFailed
from imagebuild.oci import Entry, Settings, write_archive, write_layer
from imagebuild.plan import Image, select


def image(short: str, *needs: str) -> Image:
    return Image(short, f"berth.local/{short}:dev", "key", lambda _: None, needs)


IMAGES = (image("base"), image("other"), image("berth", "base"))


def test_an_image_brings_what_it_needs_before_it() -> None:
    assert [one.short for one in select(["berth"], IMAGES)] == ["base", "berth"]


def test_no_name_means_all() -> None:
    assert select([], IMAGES) == IMAGES


def test_an_unknown_image_is_reported_with_the_known_ones() -> None:
    with pytest.raises(BuildFailed, match="unknown image moon; there are: base, other, berth"):
        select(["moon"], IMAGES)


def test_what_is_kept_counts_only_for_the_key_that_it_was_made_with(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    cache.archive("berth").write_text("")
    assert not cache.holds("berth", "one")
    cache.finished("berth", "one")
    assert cache.holds("berth", "one")
    assert not cache.holds("berth", "two")
    cache.archive("berth").unlink()
    assert not cache.holds("berth", "one")


def test_a_hash_of_files_changes_with_content_and_name_and_with_nothing_else(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "a.py").write_text("a")
    first = hash_of_files(tmp_path, [source])
    (source / "__pycache__").mkdir()
    (source / "__pycache__" / "a.pyc").write_text("compiled")
    (source / "a.py").touch()
    assert hash_of_files(tmp_path, [source]) == first
    (source / "a.py").write_text("b")
    assert hash_of_files(tmp_path, [source]) != first
    (source / "a.py").write_text("a")
    (source / "a.py").rename(source / "b.py")
    assert hash_of_files(tmp_path, [source]) != first


def write(folder: Path, name: str) -> Path:
    layer, target = folder / "layer", folder / f"{name}.tar"
    write_layer({"bin/hello": Entry(b"program", 0o755), "data": Entry(None, 0o755, 65532)}, layer)
    write_archive(layer, Settings(entrypoint=("/bin/hello",)), "berth.local/hello:dev", target)
    return target


def test_the_same_content_gives_the_same_archive(tmp_path: Path) -> None:
    assert write(tmp_path, "one").read_bytes() == write(tmp_path, "two").read_bytes()


def test_an_archive_holds_each_blob_under_its_digest_and_the_name_for_every_reader(tmp_path: Path) -> None:
    with tarfile.open(write(tmp_path, "one")) as archive:
        files = {member.name: archive.extractfile(member) for member in archive if member.isfile()}
        content = {name: file.read() for name, file in files.items() if file}
    for name, blob in content.items():
        if name.startswith("blobs/"):
            assert name == f"blobs/sha256/{hashlib.sha256(blob).hexdigest()}"
    (descriptor,) = json.loads(content["index.json"])["manifests"]
    assert set(descriptor["annotations"].values()) == {"berth.local/hello:dev"}
    assert json.loads(content["manifest.json"])[0]["RepoTags"] == ["berth.local/hello:dev"]
    manifest = json.loads(content[f"blobs/{descriptor['digest'].replace(':', '/')}"])
    for part in (manifest["config"], *manifest["layers"]):
        assert len(content[f"blobs/{part['digest'].replace(':', '/')}"]) == part["size"]
