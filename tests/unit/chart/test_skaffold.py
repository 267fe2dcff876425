"""Every path, artifact and value that skaffold.yaml names exists."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[3]
SKAFFOLD: dict[str, Any] = yaml.safe_load((ROOT / "skaffold.yaml").read_text())


def releases(config: dict[str, Any]) -> list[dict[str, Any]]:
    return list(config.get("deploy", {}).get("helm", {}).get("releases", []))


def all_releases() -> list[dict[str, Any]]:
    found = releases(SKAFFOLD)
    for profile in SKAFFOLD["profiles"]:
        found += releases(profile)
    return found


def patched_values() -> list[str]:
    return [name for p in SKAFFOLD["profiles"] for patch in p.get("patches", []) for name in patch["value"]]


def test_every_dockerfile_exists_below_its_context() -> None:
    for artifact in SKAFFOLD["build"]["artifacts"]:
        assert (ROOT / artifact["context"] / artifact["docker"]["dockerfile"]).is_file(), artifact


def test_every_release_names_a_chart_that_exists() -> None:
    assert len(all_releases()) == 2
    for release in all_releases():
        assert (ROOT / release["chartPath"] / "Chart.yaml").is_file(), release


def test_every_value_that_is_set_exists_in_the_chart() -> None:
    values = yaml.safe_load((ROOT / "charts" / "berth" / "values.yaml").read_text())
    named = patched_values()
    for release in all_releases():
        named += [*release.get("setValues", {}), *release.get("setValueTemplates", {})]
    assert named
    for name in named:
        present: Any = values
        for part in name.split("."):
            assert part in present, f"{name} is no value of the chart"
            present = present[part]


def test_every_image_in_a_template_is_an_artifact_that_is_built() -> None:
    built = {artifact["image"] for artifact in SKAFFOLD["build"]["artifacts"]}
    for release in all_releases():
        for template in release.get("setValueTemplates", {}).values():
            for prefix in ("IMAGE_REPO_", "IMAGE_TAG_"):
                if prefix in template:
                    assert template.split(prefix)[1].rstrip("}") in built


def test_the_patches_touch_what_is_there() -> None:
    for profile in SKAFFOLD["profiles"]:
        for patch in profile.get("patches", []):
            assert patch["path"] == "/deploy/helm/releases/0/setValues"
            assert releases(SKAFFOLD)[0]
