"""Parts of every end-to-end test: commands in the cluster, people with logins, projects."""

from __future__ import annotations

import base64
import json
import os
import re
import secrets
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml
from argon2 import PasswordHasher

ROOT = Path(__file__).parents[2]
HOST = os.environ.get("BERTH_HOST", "registry.berth.test")
SYSTEM = "berth-system"
TOOLS = Path(os.environ.get("BERTH_TOOLS") or f"{os.environ.get('XDG_CACHE_HOME', Path.home() / '.cache')}/berth/tools")
COMMAND_SECONDS = 120


@dataclass(frozen=True)
class Result:
    """The result of a command; `said` is what the terminal shows."""

    command: tuple[str, ...]
    code: int
    out: str
    err: str

    @property
    def said(self) -> str:
        return self.out + self.err

    @property
    def ok(self) -> bool:
        return self.code == 0

    def must(self) -> Result:
        """This result, or a failure that shows the command and its output."""
        assert self.ok, f"{' '.join(self.command)} exited {self.code}:\n{self.said}"
        return self


@dataclass(frozen=True)
class Cluster:
    """The test cluster, reached through e2e/in-cluster."""

    state: Path

    def run(
        self,
        *command: str,
        env: Mapping[str, str] | None = None,
        stdin: str | None = None,
        seconds: float = COMMAND_SECONDS,
    ) -> Result:
        """Run a command inside the cluster's namespaces; its exit code never raises."""
        words = [str(ROOT / "e2e" / "in-cluster"), "env", *(f"{k}={v}" for k, v in (env or {}).items()), *command]
        done = subprocess.run(
            words, input=stdin, capture_output=True, text=True, errors="replace", timeout=seconds, check=False
        )
        return Result(tuple(command), done.returncode, done.stdout, done.stderr)

    def start(self, *command: str, env: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
        """Start a command in the background; the test waits for it or ends it."""
        words = [str(ROOT / "e2e" / "in-cluster"), "env", *(f"{k}={v}" for k, v in (env or {}).items()), *command]
        return subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def kubectl(self, *arguments: str, stdin: str | None = None, seconds: float = COMMAND_SECONDS) -> Result:
        return self.run("kubectl", *arguments, stdin=stdin, seconds=seconds)

    def apply(self, *objects: Mapping[str, Any]) -> Result:
        return self.kubectl("apply", "--filename=-", stdin=yaml.safe_dump_all([dict(o) for o in objects])).must()

    def get(self, kind: str, name: str, namespace: str | None = None) -> dict[str, Any] | None:
        """The object as the API server has it, or None."""
        where = [f"--namespace={namespace}"] if namespace else []
        result = self.kubectl("get", kind, name, *where, "--output=json", "--ignore-not-found").must()
        return dict(json.loads(result.out)) if result.out.strip() else None

    def patch(self, kind: str, name: str, change: Mapping[str, Any], namespace: str | None = None) -> Result:
        where = [f"--namespace={namespace}"] if namespace else []
        return self.kubectl("patch", kind, name, *where, "--type=merge", f"--patch={json.dumps(change)}")

    def condition(self, kind: str, name: str, type_: str, namespace: str | None = None) -> dict[str, Any]:
        """The condition of that type, or an empty mapping."""
        found = self.get(kind, name, namespace) or {}
        conditions = found.get("status", {}).get("conditions", [])
        return next((c for c in conditions if c["type"] == type_), {})

    def component(self, action: str, name: str) -> None:
        """start, stop, kill or restart one of the node's own components (kube-apiserver, kubelet, …)."""
        words = [str(ROOT / "e2e" / "cluster" / "component"), action, name]
        subprocess.run(words, check=True, capture_output=True, timeout=COMMAND_SECONDS)

    def bring_back_api_server(self) -> None:
        """Start the API server after an outage, and restart the clients on the node that back off for up to a minute,
        so that the next test finds a cluster that reacts at once."""
        self.component("start", "kube-apiserver")
        for waiting in ("kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy"):
            self.component("restart", waiting)

    def await_settled(self) -> None:
        """Wait until every Service of Berth reaches all of its pods, on the node itself too.

        What goes away before that (the API server, say) leaves kube-proxy with what it knew in the middle of a change.
        """
        eventually(self._settled, "every Service of Berth reaches all of its pods", every=0.1)

    def _settled(self) -> bool:
        rules = self.run("nft", "list", "table", "ip", "kube-proxy").must().out
        for deployment in self._listed("deployments"):
            wanted = deployment["spec"]["replicas"]
            name = deployment["metadata"]["name"]
            ready = {
                address
                for piece in self._listed("endpointslices", f"--selector=kubernetes.io/service-name={name}")
                for endpoint in piece["endpoints"] or []
                if endpoint["conditions"]["ready"]
                for address in endpoint["addresses"]
            }
            # The operator has no Service.
            chain = re.search(rf"chain service-\w+-{SYSTEM}/{name}/[^{{]*{{(.*?)\n\t}}", rules, re.DOTALL)
            reached = set(re.findall(r"(?:[0-9]+\.){3}[0-9]+", chain[1])) if chain else set()
            if reached != ready or (ready and len(ready) != wanted):
                return False
            if deployment["status"].get("readyReplicas", 0) != wanted:
                return False
        return True

    def _listed(self, kind: str, *words: str) -> list[dict[str, Any]]:
        found = self.kubectl("get", kind, f"--namespace={SYSTEM}", *words, "--output=json").must()
        return list(json.loads(found.out)["items"])


def eventually(check: Callable[[], Any], what: str, seconds: float = 60, every: float = 0.25) -> Any:
    """Wait until `check` gives something true (an AssertionError counts as not yet), or fail with `what`."""
    deadline = time.monotonic() + seconds
    last: object = None
    while True:
        try:
            last = check()
            if last:
                return last
        except AssertionError as problem:
            last = problem
        if time.monotonic() >= deadline:
            raise AssertionError(f"not within {seconds} s: {what}; last seen: {last}")
        time.sleep(every)


def now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class Person:
    """A RegistryUser with a password and a folder of client logins."""

    name: str
    password: str = field(repr=False)
    home: Path

    @property
    def auth_file(self) -> Path:
        """A docker config.json with this person's login for the one host."""
        return self.home / "config.json"

    @property
    def env(self) -> dict[str, str]:
        """The variables with which docker, crane, helm, oras, BuildKit, podman, skopeo and buildah use this login."""
        return {
            "DOCKER_CONFIG": str(self.home),
            "REGISTRY_AUTH_FILE": str(self.auth_file),
            "HELM_REGISTRY_CONFIG": str(self.auth_file),
            "HOME": str(self.home),
        }

    def objects(self, certified: bool) -> list[dict[str, Any]]:
        """The manifests that make this person: Secret, RegistryUser and, if wanted, a Certification."""
        secret = f"{self.name}-password"
        made: list[dict[str, Any]] = [
            {
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {"name": secret, "namespace": SYSTEM},
                "stringData": {"passwordHash": quick_hash(self.password)},
            },
            {
                "apiVersion": "berth.dev/v1alpha1",
                "kind": "RegistryUser",
                "metadata": {"name": self.name},
                "spec": {"type": "Person", "displayName": self.name, "passwordSecretRef": {"name": secret}},
            },
        ]
        if certified:
            made.append(certification(self.name))
        return made


def quick_hash(password: str) -> str:
    """An argon2id hash with small parameters, so that tests do not wait for it."""
    return PasswordHasher(time_cost=1, memory_cost=1024, parallelism=1).hash(password)


def certification(person: str, until: datetime | None = None) -> dict[str, Any]:
    spec: dict[str, Any] = {"subject": {"kind": "User", "name": person}, "certifiedBy": "registry-office"}
    if until is not None:
        spec["validUntil"] = until.strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "apiVersion": "berth.dev/v1alpha1",
        "kind": "Certification",
        "metadata": {"name": f"{person}-certified"},
        "spec": spec,
    }


def new_person(home: Path, name: str) -> Person:
    """A person with a password and a login file, unknown to the cluster."""
    home.mkdir(parents=True, exist_ok=True)
    person = Person(name, secrets.token_urlsafe(18), home)
    auth = base64.b64encode(f"{person.name}:{person.password}".encode()).decode()
    person.auth_file.write_text(json.dumps({"auths": {HOST: {"auth": auth}}}))
    person.auth_file.chmod(0o600)
    return person


def make_person(cluster: Cluster, home: Path, name: str, *, certified: bool = False) -> Person:
    """Create the person in the cluster and write their login file; access knows them at the next watch event."""
    person = new_person(home, name)
    cluster.apply(*person.objects(certified))
    return person


def project_object(name: str, sharing: Sequence[Mapping[str, str]], **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "berth.dev/v1alpha1",
        "kind": "Project",
        "metadata": {"name": name},
        "spec": {
            "displayName": name.title(),
            "storage": {"type": "PersistentVolumeClaim", "persistentVolumeClaim": {"size": "1Gi"}},
            "sharing": [dict(entry) for entry in sharing],
            **spec,
        },
    }


def make_project(cluster: Cluster, name: str, sharing: Sequence[Mapping[str, str]], **spec: Any) -> str:
    """Apply a Project and wait until it is Ready."""
    cluster.apply(project_object(name, sharing, **spec))
    await_ready(cluster, name)
    return name


def await_ready(cluster: Cluster, project: str, seconds: float = 90) -> None:
    result = cluster.kubectl(
        "wait", "--for=condition=Ready", f"project/{project}", f"--timeout={seconds:.0f}s", seconds=seconds + 30
    )
    if not result.ok:
        described = cluster.kubectl("get", "project", project, "--output=yaml").out
        pods = cluster.kubectl("get", "pods", f"--namespace=berth-{project}").out
        raise AssertionError(f"project {project} is not Ready: {result.err}\n{described}\n{pods}")


# What a sentence shrinks to beside the address of its page, which has the names, where both would be too long.
_BESIDE_PAGE = (
    (r"Project \S+ is in the trash.*", "The project is in the trash; ask someone with Administer to restore it."),
    (r"\S+ is in the trash.*", "The repository is in the trash; ask someone with EditAndDelete to restore it."),
    (r"Project \S+ is suspended.*", "The project is suspended; ask someone with Administer to resume it."),
    (r"\S+ is catalogued.*", "It is not hosted in this registry; use the image in spec.external."),
    (
        r"\S+ does not exist, and .*",
        "This project creates no repository on push; apply a DockerRepository for it first.",
    ),
    (r"(\S+ has \w+) on \S+(, and \w+ needs \w+;).*", r"\1\2 ask someone with Administer for it."),
    (r"(\S+) may edit \S+ but (is not certified .*)", r"\1 \2"),
    (
        r"(\S+) may edit .* ended at (.*); ask .*",
        r"The certification of \1 ended at \2; ask your administrators for a new one.",
    ),
    (r"(The token of .* lacks the scope .*), which .*", r"\1; use a token that has it."),
)


def with_page(sentence: str, action: str, path: str) -> str:
    """A sentence that says who lacks what ends with the address of the page that explains it, where there is room."""
    address = f"See https://{HOST}/why?{action}={path}"
    short = (re.sub(long, brief, sentence) for long, brief in _BESIDE_PAGE if re.fullmatch(long, sentence))
    texts = [f"{text} {address}" for text in (sentence, next(short))]
    return next((text for text in texts if len(text) <= 200), sentence)
