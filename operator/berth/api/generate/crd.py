"""Generate the CustomResourceDefinitions and their manual pages from the models.

`python -m berth.api.generate.crd CRDS [--docs DOCS] [--check]` writes `CRDS/<plural>.yaml` and the generated parts of
the manual (`DOCS`, by default `docs/crds` beside `CRDS`). With `--check` it writes nothing and exits with 1 if a file
differs.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import yaml

from berth.api.base import UNOBSERVED
from berth.api.generate.manual import conditions_page, kind_page
from berth.api.generate.structural import Schema, structural
from berth.api.kinds import CATEGORY, KINDS, Column, Kind
from berth.api.names import GROUP, LABEL_NAME, LABEL_PART_OF, VERSION

HEADER: Final = "# Written by `make crds` from operator/berth/api. Do not edit.\n"
_API_VERSION: Final = "Version of the API: berth.dev/v1alpha1."


def crd(kind: Kind) -> dict[str, Any]:
    """The CustomResourceDefinition of a kind."""
    version: dict[str, Any] = {
        "name": VERSION,
        "served": True,
        "storage": True,
        "additionalPrinterColumns": [_column(column) for column in kind.columns],
        "schema": {"openAPIV3Schema": object_schema(kind)},
    }
    if kind.has_status:
        version["subresources"] = {"status": {}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": kind.crd_name, "labels": {LABEL_NAME: "berth", LABEL_PART_OF: "berth"}},
        "spec": {
            "group": GROUP,
            "names": {
                "kind": kind.name,
                "listKind": f"{kind.name}List",
                "plural": kind.plural,
                "singular": kind.singular,
                "shortNames": list(kind.short_names),
                "categories": [CATEGORY],
            },
            "scope": "Namespaced" if kind.namespaced else "Cluster",
            "versions": [version],
        },
    }


def crd_text(kind: Kind) -> str:
    """The CustomResourceDefinition as a manifest."""
    return HEADER + yaml.safe_dump(crd(kind), sort_keys=False, width=110, allow_unicode=True)


def crds() -> dict[str, dict[str, Any]]:
    """All CustomResourceDefinitions, by plural name."""
    return {kind.plural: crd(kind) for kind in KINDS}


def object_schema(kind: Kind) -> Schema:
    """The structural schema of a whole object of the kind."""
    raw = kind.model.model_json_schema(by_alias=True)
    schema = structural(raw, raw.get("$defs", {}))
    properties = schema["properties"]
    properties["apiVersion"] = {"type": "string", "description": _API_VERSION, "maxLength": 64}
    properties["kind"] = {"type": "string", "description": f"Kind of the object: {kind.name}.", "maxLength": 64}
    # The API server refuses a CRD with more of metadata, even a description. The name is here so that rules can report
    # it as their field.
    name = {"type": "string", "description": "Name of the object.", "maxLength": 253}
    properties["metadata"] = {"type": "object", "properties": {"name": name}}
    if kind.has_status:
        properties["status"]["default"] = {"observedGeneration": UNOBSERVED}
    if kind.model.model_fields["spec"].is_required():
        schema["required"] = ["spec"]
    else:
        # Not only for brevity: a server-side apply that removes the last field of spec leaves `spec: null`, which the
        # API server refuses without a default.
        properties["spec"]["default"] = {}
        schema.pop("required", None)
    order = ("apiVersion", "kind", "metadata", "spec", "status")
    schema["properties"] = {name: properties[name] for name in order if name in properties}
    return schema


def _column(column: Column) -> dict[str, Any]:
    made: dict[str, Any] = {
        "name": column.name,
        "type": column.type,
        "jsonPath": column.path,
        "description": column.description,
    }
    return made | ({"priority": 1} if column.wide else {})


def generated_files(crd_directory: Path, docs: Path) -> Iterator[tuple[Path, str]]:
    """Every generated file with its content. The page of a kind must exist: its notes are written by hand."""
    for kind in KINDS:
        yield crd_directory / f"{kind.plural}.yaml", crd_text(kind)
        page = docs / f"{kind.name.lower()}.md"
        yield page, kind_page(page.read_text(), kind, object_schema(kind))
    yield docs / "conditions.md", conditions_page()


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the generated files, or check them. Returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m berth.api.generate.crd", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("crds", type=Path, help="directory of the CRD manifests")
    parser.add_argument("--docs", type=Path, help="directory of the manual pages")
    parser.add_argument("--check", action="store_true", help="write nothing, exit with 1 on a difference")
    given = parser.parse_args(arguments)
    docs = given.docs or given.crds.resolve().parent / "docs" / "crds"
    stale = [
        (path, text)
        for path, text in generated_files(given.crds, docs)
        if not path.exists() or path.read_text() != text
    ]
    for path, text in stale:
        if given.check:
            print(f"{path} does not match the models: run `make crds`", file=sys.stderr)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    return 1 if given.check and stale else 0


if __name__ == "__main__":
    raise SystemExit(main())
