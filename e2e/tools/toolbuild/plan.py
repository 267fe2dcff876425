"""What is built: one entry a tool, in the order in which others need them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Tool:
    """A set of programs built together from one `go.mod`.

    `module` is the folder that holds the `go.mod`, `version_of` the module whose version is shown to people,
    `rename` maps the name that the go tool gives a program to its usual name.
    """

    name: str
    module: str
    version_of: str
    packages: tuple[str, ...]
    groups: frozenset[str]
    tags: str = ""
    ldflags: str = ""
    gcflags: str = ""
    rename: Mapping[str, str] = field(default_factory=dict)

    def programs(self) -> tuple[str, ...]:
        """The names of the finished programs."""
        built = (base_name(package) for package in self.packages)
        return tuple(self.rename.get(name, name) for name in built)


def base_name(package: str) -> str:
    """The name that `go build` gives a package's program: the last part that is no major version."""
    parts = package.split("/")
    last = parts[-1]
    return parts[-2] if last[:1] == "v" and last[1:].isdigit() else last


DEMO = frozenset({"demo", "test"})
BENCH = frozenset({"demo", "test", "bench"})
TEST = frozenset({"test"})
GROUPS = ("demo", "test", "bench")

_KUBERNETES = "k8s.io/kubernetes"
_STAMP = " ".join(
    f"-X k8s.io/component-base/version.{name}={value}"
    for name, value in (("gitVersion", "{version}"), ("gitMajor", "1"), ("gitMinor", "36"), ("gitTreeState", "clean"))
)


def _kubernetes(name: str, *programs: str, groups: frozenset[str] = DEMO) -> Tool:
    packages = tuple(f"{_KUBERNETES}/cmd/{program}" for program in programs)
    return Tool(name, "kubernetes", _KUBERNETES, packages, groups, ldflags=_STAMP)


TOOLS: tuple[Tool, ...] = (
    Tool(
        "etcd",
        "etcd",
        "go.etcd.io/etcd/server/v3",
        ("go.etcd.io/etcd/server/v3", "go.etcd.io/etcd/etcdctl/v3"),
        BENCH,
        rename={"server": "etcd"},
    ),
    _kubernetes("kubernetes-api", "kube-apiserver", "kubectl", groups=BENCH),
    Tool(
        "registry",
        "registry",
        "github.com/distribution/distribution/v3",
        ("github.com/distribution/distribution/v3/cmd/registry",),
        BENCH,
        ldflags="-X github.com/distribution/distribution/v3/version.version={version}",
    ),
    Tool(
        "crane",
        "crane",
        "github.com/google/go-containerregistry",
        ("github.com/google/go-containerregistry/cmd/crane",),
        BENCH,
    ),
    Tool("pause", "pause", "", ("berth.dev/e2e/tools/pause",), DEMO),
    Tool("helm", "helm", "helm.sh/helm/v4", ("helm.sh/helm/v4/cmd/helm",), BENCH),
    Tool(
        "containerd",
        "containerd",
        "github.com/containerd/containerd/v2",
        tuple(
            f"github.com/containerd/containerd/v2/cmd/{program}"
            for program in ("containerd", "containerd-shim-runc-v2", "ctr")
        ),
        DEMO,
        ldflags="-X github.com/containerd/containerd/v2/version.Version={version}",
    ),
    Tool("coredns", "coredns", "github.com/coredns/coredns", ("github.com/coredns/coredns",), DEMO),
    _kubernetes("kubernetes-node", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy"),
    Tool(
        "versitygw", "versitygw", "github.com/versity/versitygw", ("github.com/versity/versitygw/cmd/versitygw",), TEST
    ),
    Tool(
        "dockerd",
        "dockerd",
        "github.com/moby/moby/v2",
        ("github.com/moby/moby/v2/cmd/dockerd",),
        TEST,
        ldflags="-X github.com/moby/moby/v2/dockerversion.Version={version}",
        tags="netgo osusergo exclude_graphdriver_btrfs no_btrfs",
    ),
    Tool(
        "buildkit",
        "buildkit",
        "github.com/moby/buildkit",
        ("github.com/moby/buildkit/cmd/buildkitd", "github.com/moby/buildkit/cmd/buildctl"),
        TEST,
    ),
    Tool(
        "docker-cli",
        "docker-cli",
        "github.com/docker/cli",
        ("github.com/docker/cli/cmd/docker",),
        TEST,
        ldflags="-X github.com/docker/cli/cli/version.Version={version}",
        # A module without a go.mod of its own is taken for an old one.
        gcflags="github.com/docker/cli/...=-lang=go1.25",
    ),
    Tool("oras", "oras", "oras.land/oras", ("oras.land/oras/cmd/oras",), TEST),
    Tool("regctl", "regctl", "github.com/regclient/regclient", ("github.com/regclient/regclient/cmd/regctl",), TEST),
    Tool(
        "buildx",
        "buildx",
        "github.com/docker/buildx",
        ("github.com/docker/buildx/cmd/buildx",),
        TEST,
        ldflags="-X github.com/docker/buildx/version.Version={version}",
        rename={"buildx": "docker-buildx"},
    ),
    Tool(
        "oidc",
        "oidc",
        "github.com/zitadel/oidc/v3",
        ("berth.dev/e2e/tools/oidc",),
        TEST,
        rename={"oidc": "oidc-provider"},
    ),
    Tool("cosign", "cosign", "github.com/sigstore/cosign/v3", ("github.com/sigstore/cosign/v3/cmd/cosign",), TEST),
)


def select(names: Sequence[str], tools: Iterable[Tool] = TOOLS) -> tuple[Tool, ...]:
    """The tools that `names` mean: groups, tools or programs; none means the group `demo`."""
    wanted = set(names) or {"demo"}
    chosen = []
    matched: set[str] = set()
    for tool in tools:
        hits = wanted & (tool.groups | {tool.name, tool.module} | set(tool.programs()))
        matched |= hits
        if hits:
            chosen.append(tool)
    unknown = wanted - matched
    if unknown:
        known = ", ".join(tool.name for tool in tools)
        raise SystemExit(f"unknown tool {', '.join(sorted(unknown))}; groups: {', '.join(GROUPS)}; tools: {known}")
    return tuple(chosen)
