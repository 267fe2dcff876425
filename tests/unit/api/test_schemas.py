"""The schemas are structural, bounded and documented; no API server needed to know."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from berth.api.generate.crd import crd, crd_text, generated_files, main, object_schema
from berth.api.kinds import ACCESS_POLICY, KINDS, Kind

ROOT = Path(__file__).parents[3]
WRITTEN_BY_PEOPLE = [kind for kind in KINDS if kind is not ACCESS_POLICY]

# Short and resource names that kubectl of a usual cluster already resolves: Kubernetes, cert-manager, Gateway API,
# Argo CD, Flux, Istio, Prometheus operator, Cluster API.
TAKEN = {
    name
    for line in (
        "po pods svc deploy ds rs sts cm ns no pv pvc sa ep ing netpol pdb quota limits rc cj hpa pc sc csr crd crds",
        "ev cs",
        "cert certs cr crs certreq issuer clusterissuer gc gtw httproute app apps appproj appset appsets proj",
        "ks hr gitrepo helmrepo hc ocirepo gw vs dr se ap pmon smon prom promrule cl ma md ms kcp user users team",
    )
    for name in line.split()
}


def nodes(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every schema below this one, with its path; the API server's own part of an object left out."""
    yield path, schema
    for name, child in schema.get("properties", {}).items():
        yield from nodes(child, f"{path}.{name}")
    if "items" in schema:
        yield from nodes(schema["items"], f"{path}[]")


def of_every_kind() -> Iterator[tuple[str, dict[str, Any]]]:
    for kind in KINDS:
        for path, node in nodes(object_schema(kind)):
            yield f"{kind.name}{path}", node


ALL_NODES = dict(of_every_kind())


def test_every_field_says_what_it_is() -> None:
    silent = [
        path for path, node in ALL_NODES.items() if not node.get("description", "").strip() and not path.endswith("[]")
    ]
    assert [path for path in silent if not path.endswith(".metadata")] == []


@pytest.mark.parametrize("kind", WRITTEN_BY_PEOPLE, ids=lambda kind: kind.name)
def test_every_field_of_a_spec_documents_its_default(kind: Kind) -> None:
    spec = object_schema(kind)["properties"]["spec"]
    wrong = []
    for path, node in nodes(spec, "spec"):
        required = node.get("required", [])
        for name, child in node.get("properties", {}).items():
            said = "No default." if name in required else "Default:"
            if said not in child["description"]:
                wrong.append(f"{path}.{name} should say {said!r}")
    assert wrong == []


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.has_status], ids=lambda kind: kind.name)
def test_every_optional_status_field_says_what_its_absence_means(kind: Kind) -> None:
    status = object_schema(kind)["properties"]["status"]
    assert [
        f"{path}.{name}"
        for path, node in nodes(status, "status")
        for name, child in node.get("properties", {}).items()
        if name not in node.get("required", [])
        and not ("Absent:" in child["description"] or "Default" in child["description"])
    ] == []


def test_every_optional_field_of_a_generated_kind_says_what_its_absence_means() -> None:
    spec = object_schema(ACCESS_POLICY)["properties"]["spec"]
    silent = []
    for path, node in nodes(spec):
        for name, field in node.get("properties", {}).items():
            text = field["description"]
            if name not in node.get("required", ()) and "Default:" not in text and "Absent" not in text:
                silent.append(f"{path}.{name}")
    assert silent == []


def test_sizes_name_their_unit() -> None:
    sizes = [path for path in ALL_NODES if path.split(".")[-1] in {"size", "layerSize", "memory", "capacity"}]
    assert len(sizes) >= 5
    assert [p for p in sizes if "bytes" not in ALL_NODES[p]["description"]] == [], "a size without its unit"


def test_every_string_and_list_and_map_is_bounded() -> None:
    unbounded = []
    for path, node in ALL_NODES.items():
        kind = node.get("type")
        if kind == "string" and "maxLength" not in node and "enum" not in node:
            unbounded.append(path)
        if kind == "array" and "maxItems" not in node:
            unbounded.append(path)
        if "additionalProperties" in node and "maxProperties" not in node:
            unbounded.append(path)
    assert unbounded == []


def test_every_list_says_how_it_is_merged() -> None:
    lists = {path: node for path, node in ALL_NODES.items() if node.get("type") == "array"}
    assert [path for path, node in lists.items() if "x-kubernetes-list-type" not in node] == []


def test_the_only_defaults_are_an_empty_spec_and_the_unobserved_generation() -> None:
    defaults = {path: node["default"] for path, node in ALL_NODES.items() if "default" in node}
    statuses = {f"{kind.name}.status": {"observedGeneration": -1} for kind in KINDS if kind.has_status}
    assert defaults == {f"{kind}.spec": {} for kind in ("DockerRepository", "RegistryUser", "RegistryTeam")} | statuses


def test_no_schema_uses_what_structural_schemas_forbid() -> None:
    forbidden = {"$ref", "$defs", "title", "const", "oneOf", "allOf", "nullable", "patternProperties", "definitions"}
    assert [path for path, node in ALL_NODES.items() if forbidden & set(node)] == []


def test_every_rule_has_a_sentence_of_one_line() -> None:
    rules = [(path, rule) for path, node in ALL_NODES.items() for rule in node.get("x-kubernetes-validations", [])]
    assert len(rules) > 20
    for path, rule in rules:
        assert rule["message"].strip(), path
        assert "\n" not in rule["message"], path
        assert ": " in rule["message"] or ", for example" in rule["message"], f"{path} does not say the fix"


def test_patterns_that_people_meet_are_rules_with_sentences() -> None:
    with_pattern = [path for path, node in ALL_NODES.items() if "pattern" in node and ".spec" in path]
    assert with_pattern == ["AccessPolicy.spec.project"], "people see the regular expression instead of a sentence"


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_each_crd_is_small(kind: Kind) -> None:
    assert len(crd_text(kind).encode()) < 200_000


def test_names_for_kubectl_are_unique_and_not_taken() -> None:
    names = [name for kind in KINDS for name in (kind.plural, kind.singular, *kind.short_names)]
    assert len(names) == len(set(names))
    assert {name for kind in KINDS for name in kind.short_names} & TAKEN == set()


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_every_kind_is_found_by_the_category(kind: Kind) -> None:
    assert crd(kind)["spec"]["names"]["categories"] == ["berth"]


def test_the_generated_files_are_those_of_the_models() -> None:
    generated = dict(generated_files(ROOT / "crds", ROOT / "docs" / "crds"))
    stale = [str(path.relative_to(ROOT)) for path, text in generated.items() if path.read_text() != text]
    assert stale == [], "run `make crds`"
    extra = {path for path in (ROOT / "crds").iterdir() if path not in generated}
    assert extra == set(), "a CRD of no kind"


def test_a_written_crd_reads_back_as_what_was_made() -> None:
    for kind in KINDS:
        assert yaml.safe_load(crd_text(kind)) == crd(kind)


def test_check_reports_a_stale_file_and_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    docs = tmp_path / "docs"
    docs.mkdir()
    for kind in KINDS:
        page = f"{kind.name.lower()}.md"
        (docs / page).write_text((ROOT / "docs" / "crds" / page).read_text())
    crds = tmp_path / "crds"
    assert main([str(crds), "--docs", str(docs)]) == 0
    assert main([str(crds), "--docs", str(docs), "--check"]) == 0
    (crds / "projects.yaml").write_text("edited: by hand\n")
    assert main([str(crds), "--docs", str(docs), "--check"]) == 1
    assert "projects.yaml does not match the models: run `make crds`" in capsys.readouterr().err
    assert (crds / "projects.yaml").read_text() == "edited: by hand\n"


def test_what_is_written_by_hand_on_a_page_stays(tmp_path: Path) -> None:
    docs = tmp_path / "docs"
    docs.mkdir()
    for kind in KINDS:
        (docs / f"{kind.name.lower()}.md").write_text(
            "# By hand\n<!-- fields: begin; written by `make crds` -->old<!-- fields: end -->\nand after\n"
        )
    main([str(tmp_path / "crds"), "--docs", str(docs)])
    page = (docs / "project.md").read_text()
    assert page.startswith("# By hand\n")
    assert page.endswith("<!-- fields: end -->\nand after\n")
    assert "`spec.storage.persistentVolumeClaim.size`" in page
    assert "old" not in page.split("begin")[1].split("| field")[0]
