"""Manifests as clients send them, and what Berth reads in them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from berth.oci import manifest
from berth.oci.manifest import Descriptor, InvalidManifestError, parse_manifest

A, B, C = ("sha256:" + letter * 64 for letter in "abc")


def _image(**more: Any) -> dict[str, Any]:
    return {
        "schemaVersion": 2,
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": A, "size": 100},
        "layers": [
            {"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": B, "size": 2000},
            {"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": C, "size": 30000},
        ],
        **more,
    }


def _read(document: dict[str, Any], content_type: str = manifest.OCI_MANIFEST) -> manifest.Manifest:
    return parse_manifest(json.dumps(document).encode(), content_type)


@pytest.mark.parametrize("media_type", [manifest.OCI_MANIFEST, manifest.DOCKER_MANIFEST])
def test_an_image_has_configuration_layers_and_the_size_of_everything(media_type: str) -> None:
    document = _image(mediaType=media_type)
    read = _read(document, media_type)

    assert read.media_type == media_type
    assert read.config == Descriptor("application/vnd.oci.image.config.v1+json", A, 100)
    assert [layer.digest for layer in read.layers] == [B, C]
    assert read.size == len(json.dumps(document)) + 32100
    assert read.largest_layer == 30000


@pytest.mark.parametrize("media_type", [manifest.OCI_INDEX, manifest.DOCKER_LIST])
def test_an_index_has_children_and_its_own_bytes(media_type: str) -> None:
    child = {"mediaType": manifest.OCI_MANIFEST, "digest": A, "size": 500, "platform": {"os": "linux"}}
    document = {"schemaVersion": 2, "mediaType": media_type, "manifests": [child]}
    read = _read(document, media_type)

    assert read.children == (Descriptor(manifest.OCI_MANIFEST, A, 500),)
    assert read.size == len(json.dumps(document))
    assert read.largest_layer == 0


def test_an_artifact_names_its_type_and_its_subject() -> None:
    subject = {"mediaType": manifest.OCI_MANIFEST, "digest": C, "size": 7}
    read = _read(_image(artifactType="application/x-sbom", subject=subject, annotations={"k": "v"}))

    assert read.artifact_type == "application/x-sbom"
    assert read.subject == Descriptor(manifest.OCI_MANIFEST, C, 7)
    assert read.annotations == {"k": "v"}


def test_an_artifact_without_a_declared_type_is_listed_under_its_configuration() -> None:
    read = _read(_image(artifactType=""))
    assert read.artifact_type is None
    assert read.referrer_type == "application/vnd.oci.image.config.v1+json"


def test_a_configuration_counts_as_a_blob_for_the_layer_limit() -> None:
    document = _image()
    document["config"]["size"] = 10**12
    assert _read(document).largest_layer == 10**12


def test_parameters_of_the_content_type_do_not_matter() -> None:
    assert _read(_image(), manifest.OCI_MANIFEST + "; charset=utf-8").media_type == manifest.OCI_MANIFEST


@pytest.mark.parametrize(
    ("body", "content_type", "said"),
    [
        (b"{}", "application/vnd.docker.distribution.manifest.v1+prettyjws", "is not supported"),
        (b"{}", "", "is not supported"),
        (b"\xff{}", manifest.OCI_MANIFEST, "not JSON in UTF-8"),
        (b"[]", manifest.OCI_MANIFEST, "not a JSON object"),
        (b"[" * 100_000, manifest.OCI_MANIFEST, "not JSON"),
        (b'{"schemaVersion": 2, "schemaVersion": 2}', manifest.OCI_MANIFEST, "names a JSON field twice"),
        (b'{"schemaVersion": NaN}', manifest.OCI_MANIFEST, "NaN"),
        (json.dumps(_image(schemaVersion=1)).encode(), manifest.OCI_MANIFEST, "schemaVersion"),
        (json.dumps(_image(mediaType=manifest.OCI_INDEX)).encode(), manifest.OCI_MANIFEST, "send both alike"),
        (json.dumps(_image(manifests=[])).encode(), manifest.OCI_MANIFEST, "manifests"),
        (json.dumps(_image()).encode(), manifest.OCI_INDEX, "config"),
        (b'{"schemaVersion": 2}', manifest.OCI_MANIFEST, "config"),
    ],
)
def test_what_is_no_manifest_is_refused_in_one_sentence(body: bytes, content_type: str, said: str) -> None:
    with pytest.raises(InvalidManifestError) as refusal:
        parse_manifest(body, content_type)
    assert said in str(refusal.value)
    assert str(refusal.value).endswith(".")
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("size", [-1, 2**63, 1.0, True, "1"])
def test_a_size_is_a_whole_number_of_bytes(size: object) -> None:
    document = _image()
    document["layers"][0]["size"] = size
    with pytest.raises(InvalidManifestError, match=r"layers\.0\.size"):
        _read(document)


@pytest.mark.parametrize("name", ["Layers", "LAYERS", "layerſ"])
def test_a_field_that_only_go_programs_would_read_is_refused(name: str) -> None:
    huge = [{"mediaType": "application/x", "digest": A, "size": 10**15}]
    with pytest.raises(InvalidManifestError, match="must be written 'layers'"):
        _read(_image(**{name: huge}))


@pytest.mark.parametrize("name", ["Size", "ſize"])
def test_a_size_that_only_go_programs_would_read_is_refused(name: str) -> None:
    document = _image()
    document["layers"][0][name] = 10**15
    with pytest.raises(InvalidManifestError, match="must be written 'size'"):
        _read(document)


def test_annotations_may_differ_in_case_alone() -> None:
    assert _read(_image(annotations={"a": "1", "A": "2"})).annotations == {"a": "1", "A": "2"}
