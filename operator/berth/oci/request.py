"""Parsing of requests to the registry API from the request target as the client sent it. Pure.

The target is parsed once, here, and forwarded byte for byte. So everything is refused that two programs may read
differently: percent-encoding, dot segments and double slashes in the path, `;` and repeated parameters in the query,
anything that is not printable ASCII. Valid names need none of it.

Sources: OCI distribution specification 1.1 (endpoints and grammar); CNCF Distribution 3.1,
`registry/api/v2/descriptors.go` (routes) and `registry/handlers/app.go` (actions that a token needs).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final
from urllib.parse import parse_qsl

from berth.api import names
from berth.api.policy import Action
from berth.api.text import full_name, phrase

TARGET_MAX_LENGTH: Final = 8000
"""Characters of a request target; nginx itself takes a request line of 8 KiB."""

_FORM: Final = "HOST/<project>/<repository>"
_PATH_CHARACTERS = re.compile(r"[A-Za-z0-9._:/=@+~-]*")
# RFC 3986 `query`, without `;`: Go drops a parameter that holds one, others read it as part of the value or as `&`.
_QUERY_CHARACTERS = re.compile(r"(?:[A-Za-z0-9._~!$&'()*+,=:@/?-]|%[0-9A-Fa-f]{2})*")
_DOT_SEGMENT = re.compile(r"(?:^|/)\.{1,2}(?:/|$)")
_COUNT = re.compile(r"[0-9]{1,9}")
_SESSION = re.compile(r"[A-Za-z0-9_.=-]{1,256}")
_PROJECT = re.compile(names.PROJECT_ID_PATTERN)
_REPOSITORY = re.compile(names.REPOSITORY_PATTERN)
_TAG = re.compile(names.TAG_PATTERN)
_DIGEST = re.compile(names.DIGEST_PATTERN)
_SINGLE_PARAMETERS: Final = ("mount", "from", "digest", "n", "last")


class InvalidReferenceError(ValueError):
    """A request outside the registry API (reason `InvalidRequest`). `sentence` says what to do instead."""

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence


class Route(StrEnum):
    """The endpoints of the registry API."""

    BASE = "base"  # /v2/
    CATALOG = "catalog"  # /v2/_catalog
    TAGS = "tags"  # /v2/<name>/tags/list
    MANIFEST = "manifest"  # /v2/<name>/manifests/<tag or digest>
    BLOB = "blob"  # /v2/<name>/blobs/<digest>
    UPLOADS = "uploads"  # /v2/<name>/blobs/uploads/: start a session
    UPLOAD = "upload"  # /v2/<name>/blobs/uploads/<session>
    REFERRERS = "referrers"  # /v2/<name>/referrers/<digest>


METHODS: Final[Mapping[Route, tuple[str, ...]]] = {
    Route.BASE: ("GET", "HEAD"),
    Route.CATALOG: ("GET",),
    Route.TAGS: ("GET",),
    Route.MANIFEST: ("GET", "HEAD", "PUT", "DELETE"),
    Route.BLOB: ("GET", "HEAD"),
    Route.UPLOADS: ("POST",),
    Route.UPLOAD: ("GET", "HEAD", "PATCH", "PUT", "DELETE"),
    Route.REFERRERS: ("GET",),
}
"""The methods of each endpoint.

Blobs cannot be deleted directly, because that would break manifests. The specification leaves this to the registry;
unused blobs are deleted by garbage collection.
"""

_REGISTRY_ACTIONS: Final[Mapping[Action, tuple[str, ...]]] = {
    Action.PULL: ("pull",),
    Action.PUSH: ("pull", "push"),
    Action.DELETE: ("delete",),
}


@dataclass(frozen=True, slots=True)
class RegistryRequest:
    """One parsed request to the registry API. `project` and `repository` are empty for `/v2/` and `_catalog`."""

    route: Route
    method: str
    target: str  # the request target as sent, path and query
    query: str = ""  # the query as sent, without its `?`
    project: str = ""
    repository: str = ""  # path below the project
    reference: str = ""  # tag or digest of a manifest, digest of a blob or of a referrers list, session of an upload
    by_digest: bool = False
    digest: str = ""  # `?digest=` of an upload
    mount_digest: str = ""  # `?mount=`
    mount_from: tuple[str, str] | None = None  # `?from=` as project and repository; None if absent or not such a name
    is_mount_requested: bool = False  # an upload with `?mount=` or `?from=`
    n: int | None = None  # `?n=` of a list
    last: str = ""  # `?last=` of a list

    @property
    def name(self) -> str:
        """The full name, `project/repository`; empty for `/v2/` and `_catalog`."""
        return full_name(self.project, self.repository)

    @property
    def action(self) -> Action:
        """The action of this request on the repository.

        The registry requires `pull` for `tags/list`, so lists of tags and referrers need it here too. The status of an
        upload belongs to the push, and so does its cancellation, although the registry requires `delete` for that: a
        client that may start an upload may cancel it.
        """
        if self.route in (Route.BASE, Route.CATALOG):
            return Action.VIEW
        if self.method in ("POST", "PUT", "PATCH") or self.route in (Route.UPLOADS, Route.UPLOAD):
            return Action.PUSH
        if self.method == "DELETE":
            return Action.DELETE
        return Action.PULL

    @property
    def is_upload_cancel(self) -> bool:
        """Whether this cancels an upload session."""
        return self.route is Route.UPLOAD and self.method == "DELETE"

    @property
    def token_actions(self) -> tuple[str, ...]:
        """The actions on `name` that a token must grant, in the registry's terms; for the scope of a challenge."""
        return _REGISTRY_ACTIONS.get(self.action, ())

    @property
    def can_mount(self) -> bool:
        """Whether a mount is possible: source and target are in the same project and so in the same registry.

        A request for an impossible mount, or from a source that the caller may not pull, is still an upload: it is
        forwarded without its query.
        """
        return bool(self.mount_digest) and self.mount_from is not None and self.mount_from[0] == self.project


def parse_request(method: str, raw_uri: str) -> RegistryRequest:
    """Parse `method` and the raw request target (`$request_uri`). Raises InvalidReferenceError for any error."""
    path, query = _split(raw_uri)
    route, name, reference = _route(path)
    if method not in METHODS[route]:
        raise InvalidReferenceError(
            phrase(
                "The registry API has no {method} for this endpoint ({route}); it accepts {allowed}.",
                method=method,
                route=route.value,
                allowed=", ".join(METHODS[route]),
            )
        )
    project, repository = _parse_name(name) if route not in (Route.BASE, Route.CATALOG) else ("", "")
    by_digest = _check_reference(route, reference)
    parameters = _parameters(query)
    begins = route is Route.UPLOADS
    is_list = route in (Route.CATALOG, Route.TAGS)
    return RegistryRequest(
        route=route,
        method=method,
        target=raw_uri,
        query=query,
        project=project,
        repository=repository,
        reference=reference,
        by_digest=by_digest,
        digest=_digest(parameters, "digest") if route in (Route.UPLOADS, Route.UPLOAD) else "",
        mount_digest=_digest(parameters, "mount") if begins else "",
        mount_from=split_name(parameters.get("from", "")) if begins else None,
        is_mount_requested=begins and ("mount" in parameters or "from" in parameters),
        n=_count(parameters) if is_list else None,
        last=parameters.get("last", "") if is_list else "",
    )


def split_name(name: str) -> tuple[str, str] | None:
    """Split `project/repository` into its two parts; None if it is not a valid name."""
    try:
        return _parse_name(name)
    except InvalidReferenceError:
        return None


def _split(raw_uri: str) -> tuple[str, str]:
    if len(raw_uri) > TARGET_MAX_LENGTH:
        raise InvalidReferenceError(f"The request is longer than {TARGET_MAX_LENGTH} characters; shorten it.")
    path, _, query = raw_uri.partition("?")
    if "%" in path:
        raise InvalidReferenceError(f"A name may not be percent-encoded; write it plainly, in the form {_FORM}.")
    if _PATH_CHARACTERS.fullmatch(path) is None:
        raise InvalidReferenceError(
            f"The name holds a character that names cannot have; use {_FORM} in lower case, with digits and . _ -"
        )
    if "//" in path or _DOT_SEGMENT.search(path):
        raise InvalidReferenceError(f"The name has an empty part or a part of dots only; write it in the form {_FORM}.")
    if _QUERY_CHARACTERS.fullmatch(query) is None:
        raise InvalidReferenceError(
            "The query of the request is not encoded properly; percent-encode special characters."
        )
    return path, query


def _route(path: str) -> tuple[Route, str, str]:
    """The endpoint, name and reference of a path. Only its end counts, as a name may contain `blobs` or `tags`."""
    if path == "/v2/":
        return Route.BASE, "", ""
    if path == "/v2/_catalog":
        return Route.CATALOG, "", ""
    if not path.startswith("/v2/"):
        raise InvalidReferenceError("The registry API begins with /v2/; this request does not.")
    rest = path.removeprefix("/v2/")
    if rest.endswith("/blobs/uploads/"):
        return Route.UPLOADS, rest.removesuffix("/blobs/uploads/"), ""
    *front, before, last = ["", "", *rest.split("/")]
    name = "/".join(front[2:])
    if before == "manifests":
        return Route.MANIFEST, name, last
    if before == "referrers":
        return Route.REFERRERS, name, last
    if before == "blobs":
        return Route.BLOB, name, last
    if before == "tags" and last == "list":
        return Route.TAGS, name, ""
    if before == "uploads" and front[-1] == "blobs":
        return Route.UPLOAD, "/".join(front[2:-1]), last
    raise InvalidReferenceError(
        "The registry API has no such endpoint; it has manifests, blobs, tags/list and referrers of a repository."
    )


def _parse_name(name: str) -> tuple[str, str]:
    project, slash, repository = name.partition("/")
    if not slash:
        raise InvalidReferenceError(
            phrase(f"{{name}} names no repository; an image is named {_FORM}.", name=name or "This request")
        )
    if _PROJECT.fullmatch(project) is None:
        raise InvalidReferenceError(
            phrase(
                f"{{project}} is not a project id: those have at most {names.PROJECT_ID_MAX_LENGTH} lower case "
                f"letters, digits and hyphens; an image is named {_FORM}.",
                project=project,
            )
        )
    if len(repository) > names.REPOSITORY_MAX_LENGTH:
        raise InvalidReferenceError(
            phrase(
                f"The repository {{name}} is longer than {names.REPOSITORY_MAX_LENGTH} characters; shorten its name.",
                name=name,
            )
        )
    if _REPOSITORY.fullmatch(repository) is None:
        raise InvalidReferenceError(
            phrase(
                "{name} is not a repository name: its parts have lower case letters and digits, joined by . _ __ or -; "
                f"an image is named {_FORM}.",
                name=name,
            )
        )
    return project, repository


def _check_reference(route: Route, reference: str) -> bool:
    """Whether the reference is a digest. Raises InvalidReferenceError when the endpoint does not accept it."""
    if route is Route.UPLOAD:
        if _SESSION.fullmatch(reference) is None:
            raise InvalidReferenceError("The request names no valid upload session; start the upload again.")
        return False
    if route not in (Route.MANIFEST, Route.BLOB, Route.REFERRERS):
        return False
    if _DIGEST.fullmatch(reference):
        return True
    if route is not Route.MANIFEST or ":" in reference:
        raise InvalidReferenceError(
            phrase("{digest} is not a digest; write sha256: and 64 hexadecimal digits.", digest=reference or "(empty)")
        )
    if _TAG.fullmatch(reference) is None:
        raise InvalidReferenceError(
            phrase(
                "{tag} is not a tag; a tag has at most 128 letters, digits and . _ - and begins with none of . and -",
                tag=reference or "(empty)",
            )
        )
    return False


def _parameters(query: str) -> Mapping[str, str]:
    pairs = parse_qsl(query, keep_blank_values=True)
    for key in _SINGLE_PARAMETERS:
        if sum(name == key for name, _ in pairs) > 1:
            raise InvalidReferenceError(f"The request has the parameter {key} more than once; send it once.")
    return dict(pairs)


def _digest(parameters: Mapping[str, str], key: str) -> str:
    value = parameters.get(key, "")
    if value and _DIGEST.fullmatch(value) is None:
        raise InvalidReferenceError(
            phrase(
                "The parameter {key}={value} is not a digest; write sha256: and 64 hexadecimal digits.",
                key=key,
                value=value,
            )
        )
    return value


def _count(parameters: Mapping[str, str]) -> int | None:
    value = parameters.get("n", "")
    if not value:
        return None
    if _COUNT.fullmatch(value) is None:
        raise InvalidReferenceError("The parameter n is not a number; send a whole number of at most nine digits.")
    return int(value)
