"""A small installation in memory: people, projects, keys, a catalog and registries that keep what they receive."""

from __future__ import annotations

import asyncio
import base64
import io
import itertools
import json
import time
from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import argon2
import jwt
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa

from berth.api.policy import Action
from berth.api.reasons import Reason
from berth.api.sharing import SharingLevel, SubjectKind
from berth.authz.messages import MessageFacts, sentence
from berth.authz.model import ProjectPolicy, RepositoryPolicy, Rule, Snapshot, Subject, User
from berth.identity.authenticator import PROBER_SCOPES, READER_SCOPES, Authenticator
from berth.identity.failure_delay import FailureDelay
from berth.identity.gateway_caller import GatewayAuthenticator
from berth.identity.jwks import FetchKeys
from berth.identity.login_limits import LoginLimits
from berth.identity.oidc import OidcAuthenticator
from berth.identity.passwords import PasswordVerifier
from berth.identity.service_account import ServiceAccountVerifier
from berth.services.access.app import create_app
from berth.services.access.audit import AuditLog
from berth.services.access.deps import Deps, PolicyRevisions
from berth.services.access.metrics import AccessMetrics
from berth.services.access.tokens.registry_tokens import TokenService
from berth.settings import OidcIssuer
from tests.kit.access.memory import MemoryCatalog, MemoryRegistries
from tests.kit.pki import Authority

HOST = "registry.example.org"
ISSUER = "https://kubernetes.default.svc"
CLUSTER_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
AUTHORITY = Authority.create("berth token CA")
LEAF = AUTHORITY.issue("berth token signing")
HASHER = argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
PASSWORDS = {name: f"canary-password-of-{name}" for name in ("ann", "bob", "eve", "dora")}
HASHES = {name: HASHER.hash(password) for name, password in PASSWORDS.items()}

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"


@dataclass(frozen=True)
class ClientResponse:
    """What a client sees."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def document(self) -> Any:
        """The JSON body."""
        return json.loads(self.body)

    @property
    def sentence(self) -> str:
        """The one sentence of an error body; fails unless the body is exactly that."""
        document = self.document
        assert list(document) == ["errors"]
        assert len(document["errors"]) == 1
        assert sorted(document["errors"][0]) == ["code", "message"]
        return str(document["errors"][0]["message"])

    @property
    def code(self) -> str:
        """The code of the one error."""
        return str(self.document["errors"][0]["code"])


def sentence_of(reason: Reason, who: str = "", action: Action = Action.PULL) -> str:
    """The sentence of a reason about genomics/aligner."""
    return sentence(reason, MessageFacts(who=who, project="genomics", repository="aligner", action=action))


def sentence_with_page(reason: Reason, who: str = "", action: Action = Action.PULL, repository: str = "aligner") -> str:
    """The same with the address of the `/why` page, where there is room."""
    text = sentence(reason, MessageFacts(who=who, project="genomics", repository=repository, action=action))
    longer = f"{text} See https://{HOST}/why?{action}=genomics/{repository}"
    return longer if len(longer) <= 200 else text


def rules(*pairs: tuple[str, SharingLevel]) -> tuple[Rule, ...]:
    """Sharing with users by name, or with everybody who is logged in by `*`."""
    return tuple(
        Rule(SubjectKind.AUTHENTICATED_USERS, "", level) if name == "*" else Rule(SubjectKind.USER, name, level)
        for name, level in pairs
    )


def first_snapshot() -> Snapshot:
    """ann edits (certified), bob downloads, dora edits (not certified), eve has nothing."""
    shared = rules(("ann", SharingLevel.EDIT_AND_DELETE), ("bob", SharingLevel.DOWNLOAD), ("dora", SharingLevel.EDIT))
    genomics = ProjectPolicy(
        "genomics",
        rules=shared,
        layer_size_limit=1000,
        repositories={
            "aligner": RepositoryPolicy("aligner", has_content=True),
            "tools/viewer": RepositoryPolicy("tools/viewer", has_content=True),
            "private": RepositoryPolicy("private", rules=rules(("ann", SharingLevel.ADMINISTER)), has_content=True),
        },
    )
    other = ProjectPolicy(
        "other", rules=rules(("ann", SharingLevel.DOWNLOAD)), repositories={"x": RepositoryPolicy("x")}
    )
    users = {name: User(name, password_hash=HASHES[name]) for name in PASSWORDS}
    certifications = {Subject(SubjectKind.USER, "ann"): None}
    return Snapshot(1, {"genomics": genomics, "other": other}, users, certifications=certifications)


class World:
    """The application with its parts, and ways to call it."""

    def __init__(
        self,
        directory: Path,
        *,
        passwords: PasswordVerifier | None = None,
        failures: FailureDelay | None = None,
        oidc_issuers: Sequence[OidcIssuer] = (),
    ) -> None:
        self.time = float(int(time.time()))  # near the real time, because certificates hold only then
        self.snapshot = first_snapshot()
        self.catalog = MemoryCatalog()
        self.registries = MemoryRegistries()
        self.log = io.StringIO()
        self.ready = {"policy": True}
        self.tokens_used: list[str] = []
        self.reached = {"projects": 7}  # resource version by plural
        self.issuers: dict[str, dict[str, Any]] = {}  # by issuer: its keys by id; one that is not there is away
        self.issuer_reads: list[str] = []
        self.signing_dir = directory
        write_keys(directory)
        numbers = itertools.count()
        self.tokens = TokenService(
            directory=directory, lifetime=300, clock=lambda: self.time, token_id=lambda: f"id-{next(numbers)}"
        )
        self.verifier = ServiceAccountVerifier(
            issuer=ISSUER,
            fetch_keys=self._keys,
            clock=lambda: self.time,
            monotonic=lambda: self.time,
            sleep=self._pass,
        )
        self.passwords = passwords or PasswordVerifier(monotonic=lambda: self.time, hasher=HASHER)
        self.deps = Deps(
            host=HOST,
            snapshot=lambda: self.snapshot,
            now=lambda: datetime.fromtimestamp(self.time, UTC),
            ready=lambda: self.ready,
            tokens=self.tokens,
            authenticator=Authenticator(
                verifier=self.verifier,
                own_processes={
                    "berth-system/berth-operator": PROBER_SCOPES,
                    "berth-system/berth-catalog": READER_SCOPES,
                },
                token_audience=HOST,
                oidc=OidcAuthenticator(
                    oidc_issuers,
                    fetch_keys=self._issuer_keys,
                    clock=lambda: self.time,
                    monotonic=lambda: self.time,
                    sleep=self._pass,
                ),
                passwords=self.passwords,
                login_limits=LoginLimits(monotonic=lambda: self.time),
                failure_delay=failures or FailureDelay(pause=1.0, monotonic=lambda: self.time, sleep=_at_once),
            ),
            gateway=GatewayAuthenticator(verifier=self.verifier, accounts=frozenset({"berth-system/berth-gateway"})),
            policy=PolicyRevisions(
                verifier=self.verifier, accounts=frozenset({"berth-system/berth-operator"}), wait_for=self._reach
            ),
            catalog=self.catalog,
            registries=self.registries,
            audit=AuditLog(self.log.write, now=lambda: datetime.fromtimestamp(self.time, UTC)),
            token_used=self.tokens_used.append,
            metrics=AccessMetrics(),
            upstream_self="http://access",
            registry_base=lambda project: f"http://registry.{project}:5000",
            manifest_size_limit=4 * 1024 * 1024,
            certification_warning_days=14,
        )
        self.app = create_app(self.deps)

    def rebuild(self, deps: Deps) -> None:
        """The application made of other parts."""
        self.deps = deps
        self.app = create_app(deps)

    async def _pass(self, seconds: float) -> None:
        """A pause that passes as soon as everybody else had a turn."""
        await asyncio.sleep(0)
        self.time += seconds

    async def _reach(self, _wanted: Mapping[str, int], _patience: float) -> Mapping[str, int]:
        return self.reached

    async def _keys(self) -> Mapping[str, Any]:
        public = jwt.algorithms.RSAAlgorithm.to_jwk(CLUSTER_KEY.public_key(), as_dict=True)
        return {"keys": [{**public, "kid": "cluster"}]}

    def _issuer_keys(self, issuer: OidcIssuer) -> FetchKeys:
        async def fetch() -> Mapping[str, Any]:
            self.issuer_reads.append(issuer.issuer)
            if issuer.issuer not in self.issuers:
                raise ConnectionError("refused")
            keys = self.issuers[issuer.issuer]
            return {"issuer": issuer.issuer, "keys": [public_jwk(kid, key) for kid, key in keys.items()]}

        return fetch

    def service_account(self, name: str, audience: str = "berth-access") -> str:
        """A projected token of a ServiceAccount in Berth's namespace."""
        claims = {
            "iss": ISSUER,
            "aud": [audience],
            "sub": f"system:serviceaccount:berth-system:{name}",
            "exp": self.time + 3600,
        }
        return jwt.encode(claims, CLUSTER_KEY, algorithm="RS256", headers={"kid": "cluster"})

    def change(self, project: str, **fields: Any) -> None:
        """Change fields of a project's policy; the next generation of the snapshot."""
        projects = {**self.snapshot.projects, project: replace(self.snapshot.projects[project], **fields)}
        self.snapshot = replace(self.snapshot, generation=self.snapshot.generation + 1, projects=projects)

    def add(self, project: ProjectPolicy) -> None:
        """One more project; the next generation of the snapshot."""
        projects = {**self.snapshot.projects, project.project_id: project}
        self.snapshot = replace(self.snapshot, generation=self.snapshot.generation + 1, projects=projects)

    def change_user(self, name: str, **fields: Any) -> None:
        """Change fields of a user; the next generation of the snapshot."""
        users = {**self.snapshot.users, name: replace(self.snapshot.users[name], **fields)}
        self.snapshot = replace(self.snapshot, generation=self.snapshot.generation + 1, users=users)

    def certify(self, ends: Mapping[str, datetime | None]) -> None:
        """Exactly these users are certified, until then (None: until withdrawn); the next generation."""
        certifications = {Subject(SubjectKind.USER, name): end for name, end in ends.items()}
        self.snapshot = replace(self.snapshot, generation=self.snapshot.generation + 1, certifications=certifications)

    async def call(
        self, method: str, target: str, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> ClientResponse:
        """One request straight to the service."""
        return await drive(self.app, method, target, headers or {}, body)

    async def ask_token(
        self, user: str | None, *scopes: str, password: str | None = None, source: str | None = None
    ) -> ClientResponse:
        """A token request as docker makes it; with a source, through the gateway."""
        query = urlencode([("service", HOST), *(("scope", scope) for scope in scopes)])
        headers = {}
        if source is not None:
            headers = {"berth-gateway-token": self.service_account("berth-gateway"), "x-forwarded-for": source}
        if user is not None:
            headers["authorization"] = basic(user, PASSWORDS.get(user, "") if password is None else password)
        return await self.call("GET", f"/token?{query}", headers)

    async def log_in(self, path: str, user: str, password: str) -> ClientResponse:
        """A login without a scope, at any address that takes one."""
        return await self.call("GET", path, {"authorization": basic(user, password)})

    async def token(self, user: str | None, *scopes: str, password: str | None = None) -> str:
        """The token itself."""
        response = await self.ask_token(user, *scopes, password=password)
        assert response.status == 200, response
        return str(response.document["token"])

    async def authz(self, method: str, target: str, token: str | None = None, **more: str) -> ClientResponse:
        """The gateway's question about one request."""
        headers = {
            "berth-gateway-token": self.service_account("berth-gateway"),
            "berth-original-method": method,
            "berth-original-uri": target,
            "x-forwarded-for": "203.0.113.9, 198.51.100.7",
            **more,
        }
        if token is not None:
            headers["authorization"] = f"Bearer {token}"
        return await self.call("GET", "/authz", headers)

    async def ask(self, method: str, target: str, token: str | None = None) -> ClientResponse:
        """What a client sees of a request through the gateway, as far as `/authz` decides it."""
        response = await self.authz(method, target, token)
        if response.status == 200:
            return response
        headers = {"www-authenticate": response.headers.get("www-authenticate", "")}
        headers["warning"] = response.headers.get("berth-warning", "")
        return ClientResponse(
            int(response.headers["berth-status"]), headers, response.headers["berth-body"].encode("ascii")
        )

    async def put(
        self, target: str, token: str, body: bytes, content_type: str = OCI_MANIFEST, **headers: str
    ) -> ClientResponse:
        """A PUT as it reaches the service through the gateway."""
        sent = {"authorization": f"Bearer {token}", "content-type": content_type, "user-agent": "test", **headers}
        return await self.call("PUT", target, sent, body)

    @property
    def audit(self) -> list[dict[str, Any]]:
        """The lines of the audit log."""
        return [json.loads(line) for line in self.log.getvalue().splitlines()]


async def _at_once(_seconds: float) -> None:
    """A pause that is over as soon as it begins."""


def write_keys(directory: Path, leaf: Any = LEAF, authority: Authority = AUTHORITY) -> None:
    """The files of a signing key, replaced at once as the kubelet does it."""
    files = {"tls.crt": leaf.certificate_pem, "tls.key": leaf.key_pem, "ca.crt": authority.certificate_pem}
    for name, content in files.items():
        fresh = directory / f"{name}.new"
        fresh.write_bytes(content)
        fresh.rename(directory / name)


def public_jwk(kid: str, key: Any) -> dict[str, Any]:
    """The public half of a key, as an issuer publishes it."""
    public = key.public_key() if hasattr(key, "public_key") else key
    if isinstance(public, rsa.RSAPublicKey):
        algorithm: Any = jwt.algorithms.RSAAlgorithm
    elif isinstance(public, ed25519.Ed25519PublicKey):
        algorithm = jwt.algorithms.OKPAlgorithm
    else:
        algorithm = jwt.algorithms.ECAlgorithm
    return {**algorithm.to_jwk(public, as_dict=True), "kid": kid, "use": "sig"}


def basic(user: str, password: str) -> str:
    """The value of a Basic header."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode("ascii")


def manifest(layer_size: int = 10, **more: Any) -> bytes:
    """An OCI manifest with one layer."""
    blob = {"mediaType": "application/octet-stream", "digest": "sha256:" + "1" * 64, "size": layer_size}
    config = {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": "sha256:" + "2" * 64, "size": 2}
    return json.dumps(
        {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": [blob], **more}
    ).encode()


def claims(token: str) -> dict[str, Any]:
    """The claims of a token, unverified."""
    return jwt.decode(token, options={"verify_signature": False})


async def drive(app: Any, method: str, target: str, headers: Mapping[str, str], body: bytes = b"") -> ClientResponse:
    """Call an ASGI application once, as a server would."""
    path, _, query = target.partition("?")
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode("latin-1"),
        "query_string": query.encode("latin-1"),
        "headers": [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()],
    }
    received = iter([{"type": "http.request", "body": body, "more_body": False}])
    sent: list[MutableMapping[str, Any]] = []

    async def receive() -> MutableMapping[str, Any]:
        return dict(next(received, {"type": "http.disconnect"}))

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    await app(scope, receive, send)
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]
    found = {name.decode("latin-1"): value.decode("latin-1") for name, value in sent[0]["headers"]}
    return ClientResponse(sent[0]["status"], found, sent[1]["body"])
