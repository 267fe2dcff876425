"""What is built: the images, each with the key that identifies a built one."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from imagebuild import programs
from imagebuild.bases import BASES, Base, build_base, command
from imagebuild.cache import Cache, hash_of, hash_of_files
from imagebuild.dockerfiles import Dockerfile, build_dockerfile, load_base
from imagebuild.failure import BuildFailed

REGISTRY_HOST = "berth.local"

BERTH = Dockerfile(
    "operator/Dockerfile",
    (
        "operator/Dockerfile.dockerignore",
        "requirements/server.txt",
        "requirements/build.txt",
        "pyproject.toml",
        "README.md",
        "LICENSE",
        "operator/berth",
    ),
    {"BUILD_IMAGE": "base-build", "BASE_IMAGE": "base-python"},
    ("berth", "version"),
)
GATEWAY = Dockerfile(
    "operator/gateway.Dockerfile",
    ("operator/gateway.Dockerfile.dockerignore",),
    {"BASE_IMAGE": "base-nginx"},
    ("nginx", "-v"),
)


@dataclass(frozen=True)
class Image:
    """One image: its file is `<short>.tar`, its name `name`; `needs` are built before it."""

    short: str
    name: str
    key: str
    build: Callable[[Cache], None]
    needs: tuple[str, ...] = ()


def images(root: Path, tools: Path) -> tuple[Image, ...]:
    """All images, in an order in which they can be built."""
    bases = tuple(_base(base) for base in BASES)
    return (
        _program("pause", "dev", programs.PAUSE, _built(root, tools, "pause")),
        _program("registry", _registry_version(root), programs.REGISTRY, _built(root, tools, "registry")),
        _hello(root),
        *bases,
        _dockerfile("gateway", GATEWAY, root, bases),
        _dockerfile("berth", BERTH, root, bases),
    )


def select(names: Sequence[str], known: Sequence[Image]) -> tuple[Image, ...]:
    """The images that the names mean, with what they need; no name means all."""
    unknown = set(names) - {image.short for image in known}
    if unknown:
        there_are = ", ".join(image.short for image in known)
        raise BuildFailed(f"unknown image {', '.join(sorted(unknown))}; there are: {there_are}")
    wanted = set(names) or {image.short for image in known}
    for image in reversed(known):
        wanted |= set(image.needs) if image.short in wanted else set()
    return tuple(image for image in known if image.short in wanted)


def _base(base: Base) -> Image:
    key = hash_of(command(base, Path("layer")))
    name = f"{REGISTRY_HOST}/{base.name}:{key}"

    def build(cache: Cache) -> None:
        build_base(base, name, cache.scratch(), cache.archive(base.name))
        load_base(name, cache.archive(base.name), cache)

    return Image(base.name, name, key, build)


def _dockerfile(short: str, dockerfile: Dockerfile, root: Path, bases: Sequence[Image]) -> Image:
    names = {base.short: base.name for base in bases}
    used = tuple(dockerfile.bases.values())
    files = hash_of_files(root, [root / path for path in (dockerfile.path, *dockerfile.uses)])
    name = f"{REGISTRY_HOST}/{short}:dev"
    labels = {"org.opencontainers.image.version": "dev"}
    return Image(
        short,
        name,
        hash_of([files, *(names[base] for base in used)]),
        lambda cache: build_dockerfile(dockerfile, root, names, name, labels, cache),
        used,
    )


def _program(short: str, tag: str, program: programs.Program, binary: Callable[[], Path]) -> Image:
    name = f"{REGISTRY_HOST}/{short}:{tag}"
    present = binary()
    key = hash_of([str(present.resolve()), repr(program), name])
    return Image(
        short,
        name,
        key,
        lambda cache: programs.build_program(program, present, name, cache.scratch(), cache.archive(short)),
    )


def _hello(root: Path) -> Image:
    source, name = root / "e2e/images/hello", f"{REGISTRY_HOST}/hello:dev"

    def build(cache: Cache) -> None:
        binary = cache.scratch() / "hello"
        programs.compile_hello(source, binary)
        programs.build_program(programs.HELLO, binary, name, cache.scratch(), cache.archive("hello"))

    return Image("hello", name, hash_of([hash_of_files(root, [source]), repr(programs.HELLO)]), build)


def _built(root: Path, tools: Path, program: str) -> Callable[[], Path]:
    def find() -> Path:
        if not (tools / program).exists():
            subprocess.run([str(root / "e2e/tools/build"), program], check=True, timeout=1800)
        return tools / program

    return find


def _registry_version(root: Path) -> str:
    return programs.pinned_registry_version(root / "e2e/tools/registry/go.mod")
