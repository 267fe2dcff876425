"""Every refusal: the rules of status, body, challenge and warning.

Found by trying each client: a refusal by policy is a 403 with exactly one error of code `DENIED` and no `detail`,
because then every client shows its sentence. Two HEAD requests are refused with 404 instead: the client then sends
another request, whose response has a body. Sources: OCI distribution specification 1.1 ("Error Codes"), RFC 6750
(Bearer challenge), RFC 7234 section 5.5 (`Warning: 299`).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from berth.api.text import MAX_LENGTH
from berth.oci.request import RegistryRequest, Route
from berth.services.access.http.messages import Response, json_response

DENIED: Final = "DENIED"
UNAUTHORIZED: Final = "UNAUTHORIZED"
UNSUPPORTED: Final = "UNSUPPORTED"
MANIFEST_INVALID: Final = "MANIFEST_INVALID"
UNAVAILABLE: Final = "UNAVAILABLE"
TOO_MANY: Final = "TOOMANYREQUESTS"

_LOGIN: Final = "Log in to this registry (docker login {host}) and try again."


@dataclass(frozen=True, slots=True)
class Refusal:
    """A refused request, and the error that the client gets."""

    status: int
    code: str
    sentence: str
    challenge: str = ""  # value of WWW-Authenticate
    warning: str = ""  # value of Warning
    retry_after: int = 0  # seconds; 0: no such header

    @property
    def response(self) -> Response:
        """The refusal for the client."""
        retry_after = str(self.retry_after) if self.retry_after else ""
        headers = (("www-authenticate", self.challenge), ("warning", self.warning), ("retry-after", retry_after))
        return json_response(self.status, self._document, tuple((name, value) for name, value in headers if value))

    @property
    def gateway_response(self) -> Response:
        """The refusal for the gateway's subrequest: 401 or 403.

        The client's response is in headers.
        """
        body = json_response(self.status, self._document).body
        headers = (
            ("berth-status", str(self.status)),
            ("berth-body", body.decode("ascii")),
            ("www-authenticate", self.challenge),
            ("berth-warning", self.warning),
        )
        status = 401 if self.status == 401 else 403
        return Response(status, tuple((name, value) for name, value in headers if value), body)

    @property
    def _document(self) -> dict[str, list[dict[str, str]]]:
        return {"errors": [{"code": self.code, "message": self.sentence}]}


def challenge(host: str, request: RegistryRequest, *, invalid: str = "") -> Refusal:
    """401 with where to get a token, and for which scopes.

    `invalid`: what is wrong with the token that came.
    """
    parts = [f'realm="https://{host}/token"', f'service="{host}"']
    scope = _scope(request)
    if scope:
        parts.append(f'scope="{scope}"')
    if invalid:
        parts.append('error="invalid_token"')
    return Refusal(401, UNAUTHORIZED, invalid or _LOGIN.format(host=host), challenge=f"Bearer {','.join(parts)}")


def _scope(request: RegistryRequest) -> str:
    if request.route is Route.CATALOG:
        return "registry:catalog:*"
    if not request.token_actions:
        return ""
    scopes = [f"repository:{request.name}:{','.join(request.token_actions)}"]
    if request.can_mount and request.mount_from is not None:
        source = "/".join(request.mount_from)
        if source != request.name:
            scopes.append(f"repository:{source}:pull")
    return " ".join(scopes)


def with_page(host: str, request: RegistryRequest, sentence: str, short_sentence: str) -> str:
    """The sentence with the address of the `/why` page.

    With the shorter `short_sentence` where the two would be too long.
    Without `short_sentence`, the sentence alone: the page would say no more to an unknown caller, about a hidden
    repository, or about what only this request holds. The address has one parameter, so no client has to escape `&`.
    """
    address = f"See https://{host}/why?{request.action.value}={request.name}"
    both = (f"{text} {address}" for text in (sentence, short_sentence) if short_sentence)
    return next((text for text in both if len(text) <= MAX_LENGTH), sentence)


def denied(request: RegistryRequest, sentence: str, requested: Collection[str]) -> Refusal:
    """A refusal by policy.

    `requested` are the actions on this repository in the scope of the client's token request.
    """
    is_head = request.method == "HEAD"
    status = 403
    if is_head and request.route is Route.BLOB:
        status = 404
    if is_head and request.route is Route.MANIFEST and request.by_digest and "push" in requested:
        # A push looks for the manifest first; a 403 here would hide why the push itself is refused.
        status = 404
    warned = is_head and request.route is Route.MANIFEST
    return Refusal(status, DENIED, sentence, warning=warning(sentence) if warned else "")


def malformed(sentence: str) -> Refusal:
    """400 for a request that the registry API does not define."""
    return Refusal(400, UNSUPPORTED, sentence)


def login_refused(host: str, sentence: str, *, retry_after: int = 0) -> Refusal:
    """A login (a token request without scope) with credentials that are not accepted.

    `retry_after` is in seconds, and set after too many failed logins (RFC 6585, 4).
    """
    if retry_after:
        return Refusal(429, TOO_MANY, sentence, retry_after=retry_after)
    return Refusal(401, UNAUTHORIZED, sentence, challenge=f'Basic realm="{host}",charset="UTF-8"')


def invalid_manifest(sentence: str) -> Refusal:
    """400 for a push whose body is not a manifest."""
    return Refusal(400, MANIFEST_INVALID, sentence)


def manifest_too_large(limit: int) -> Refusal:
    """403 for a push whose manifest is larger than any registry takes.

    Every client shows the sentence of a 403.
    """
    size = f"{limit // 2**20} MiB" if limit % 2**20 == 0 else f"{limit} bytes"
    return Refusal(
        403,
        DENIED,
        f"The manifest is larger than {size}, the most that this registry takes; push fewer entries in one.",
    )


def registry_unreachable(project: str) -> Refusal:
    """503 while the project's registry does not respond."""
    return Refusal(
        503, UNAVAILABLE, f"The registry of project {project} does not answer at the moment; try again in a minute."
    )


def not_served(sentence: str) -> Response:
    """401 for a call that only Berth's own processes may make."""
    return Refusal(401, UNAUTHORIZED, sentence).response


def not_found() -> Response:
    """404 for an address that this service does not have."""
    return Refusal(404, UNSUPPORTED, "The access service has no such address.").response


def method_not_allowed(allowed: str) -> Response:
    """405 for a method that this address does not take."""
    response = Refusal(405, UNSUPPORTED, f"This address takes {allowed} alone.").response
    return Response(response.status, (*response.headers, ("allow", allowed)), response.body)


def bad_token_request(sentence: str) -> Response:
    """400 for a malformed token request.

    Clients that tried OAuth2 first then use GET.
    """
    return Refusal(400, UNSUPPORTED, sentence).response


def internal_error() -> Response:
    """500 for an unexpected error.

    The traceback is in the log, never in the response.
    """
    return Refusal(
        500, "UNKNOWN", "The access service failed on this request; try again, and report it to the administrators."
    ).response


def warning(sentence: str) -> str:
    """The value of a `Warning` header with this sentence."""
    escaped = sentence.replace("\\", "\\\\").replace('"', '\\"')
    return f'299 - "{escaped}"'
