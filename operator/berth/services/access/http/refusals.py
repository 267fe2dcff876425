"""Every answer that refuses something. The one place for the rules of status, body, challenge and warning.

What makes each client show the sentence was found by trying them: a refusal by policy is a 403 with exactly one error
of code `DENIED` and no `detail`. Two HEAD requests are 404 instead, so that the client goes on to a request whose
answer has a body. Sources: OCI distribution specification 1.1 ("Error Codes"), RFC 6750 (Bearer challenge),
RFC 7234 section 5.5 (`Warning: 299`).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from berth.api.text import MAX_LENGTH
from berth.oci.request import RegistryRequest, Route
from berth.services.access.http.messages import Response, json_answer

DENIED: Final = "DENIED"
UNAUTHORIZED: Final = "UNAUTHORIZED"
UNSUPPORTED: Final = "UNSUPPORTED"
MANIFEST_INVALID: Final = "MANIFEST_INVALID"
UNAVAILABLE: Final = "UNAVAILABLE"
TOO_MANY: Final = "TOOMANYREQUESTS"

_LOGIN: Final = "Log in to this registry (docker login {host}) and try again."


@dataclass(frozen=True, slots=True)
class Refusal:
    """A request that is not carried out, and what the client is told."""

    status: int
    code: str
    sentence: str
    challenge: str = ""  # value of WWW-Authenticate
    warning: str = ""  # value of Warning
    retry_after: int = 0  # seconds; 0: nothing is said of it

    @property
    def answer(self) -> Response:
        """The refusal as the client gets it."""
        retry_after = str(self.retry_after) if self.retry_after else ""
        headers = (("www-authenticate", self.challenge), ("warning", self.warning), ("retry-after", retry_after))
        return json_answer(self.status, self._document, tuple((name, value) for name, value in headers if value))

    @property
    def gateway_answer(self) -> Response:
        """The refusal as the gateway's subrequest gets it: 401 or 403, and in headers what the client is to get."""
        body = json_answer(self.status, self._document).body
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
    """401 with where to get a token and for what. `invalid` says why the token that came is none."""
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
    """The sentence, with the address of the page that explains it; `short_sentence` with it where the two have no room.

    Without `short_sentence` the page could say no more: to somebody who is not known, about what they may not see, or
    about what only the request at hand knows. One parameter, so that no client has an `&` to escape.
    """
    address = f"See https://{host}/why?{request.action.value}={request.name}"
    both = (f"{text} {address}" for text in (sentence, short_sentence) if short_sentence)
    return next((text for text in both if len(text) <= MAX_LENGTH), sentence)


def denied(request: RegistryRequest, sentence: str, asked: Collection[str]) -> Refusal:
    """A refusal by policy. `asked` are the actions on this repository that the client's token was asked for."""
    is_head = request.method == "HEAD"
    status = 403
    if is_head and request.route is Route.BLOB:
        status = 404
    if is_head and request.route is Route.MANIFEST and request.by_digest and "push" in asked:
        # Whoever pushes looks for the manifest first, and a 403 there hides why the push itself is refused.
        status = 404
    warned = is_head and request.route is Route.MANIFEST
    return Refusal(status, DENIED, sentence, warning=warning(sentence) if warned else "")


def malformed(sentence: str) -> Refusal:
    """A request that the registry API does not have."""
    return Refusal(400, UNSUPPORTED, sentence)


def login_refused(host: str, sentence: str, *, retry_after: int = 0) -> Refusal:
    """A login (a token request without scope) with credentials that are not accepted.

    `retry_after` is in seconds, and set when there were too many (RFC 6585, 4).
    """
    if retry_after:
        return Refusal(429, TOO_MANY, sentence, retry_after=retry_after)
    return Refusal(401, UNAUTHORIZED, sentence, challenge=f'Basic realm="{host}",charset="UTF-8"')


def invalid_manifest(sentence: str) -> Refusal:
    """The body of a push is no manifest."""
    return Refusal(400, MANIFEST_INVALID, sentence)


def manifest_too_large(limit: int) -> Refusal:
    """The body of a push is larger than any registry takes. 403, because every client shows its sentence."""
    size = f"{limit // 2**20} MiB" if limit % 2**20 == 0 else f"{limit} bytes"
    return Refusal(
        403,
        DENIED,
        f"The manifest is larger than {size}, the most that this registry takes; push fewer entries in one.",
    )


def registry_away(project: str) -> Refusal:
    """The project's registry gave no answer."""
    return Refusal(
        503, UNAVAILABLE, f"The registry of project {project} does not answer at the moment; try again in a minute."
    )


def not_served(sentence: str) -> Response:
    """A call that only Berth's own processes may make, by somebody who is none of them."""
    return Refusal(401, UNAUTHORIZED, sentence).answer


def not_found() -> Response:
    """An address that this service does not have."""
    return Refusal(404, UNSUPPORTED, "The access service has no such address.").answer


def method_not_allowed(allowed: str) -> Response:
    """An address that does not take this method."""
    answer = Refusal(405, UNSUPPORTED, f"This address takes {allowed} alone.").answer
    return Response(answer.status, (*answer.headers, ("allow", allowed)), answer.body)


def bad_token_request(sentence: str) -> Response:
    """A token request that can not be read. 400, on which clients that tried OAuth2 go on with GET."""
    return Refusal(400, UNSUPPORTED, sentence).answer


def internal_error() -> Response:
    """A bug. The traceback is in the log, never in the answer."""
    return Refusal(
        500, "UNKNOWN", "The access service failed on this request; try again, and tell whoever runs the registry."
    ).answer


def warning(sentence: str) -> str:
    """The value of a `Warning` header that says the sentence."""
    escaped = sentence.replace("\\", "\\\\").replace('"', '\\"')
    return f'299 - "{escaped}"'
