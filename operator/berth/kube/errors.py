"""Errors of requests to the API server. Each text is one sentence. No I/O.

The sentence includes the API server's message, except about Secrets: its validation errors quote values.
"""

from __future__ import annotations


class KubeError(Exception):
    """A failed request to the API server. `status` is the HTTP status, 0 without a response."""

    def __init__(self, sentence: str, *, status: int = 0) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.status = status


class NotFoundError(KubeError):
    """The object, its namespace or the whole resource does not exist (404)."""


class ConflictError(KubeError):
    """Another client changed, replaced or already created the object (409), so a precondition failed."""


class ForbiddenError(KubeError):
    """The credentials are refused (401) or lack the right (403)."""


class InvalidError(KubeError):
    """The API server refuses the object itself (400, 413, 415, 422). A retry with the same object is useless."""


class GoneError(KubeError):
    """The requested resource version is too old (410): list again."""


class UnavailableError(KubeError):
    """No response, or one that requests a retry (429, 5xx)."""


_BY_STATUS: dict[int, type[KubeError]] = {
    400: InvalidError,
    401: ForbiddenError,
    403: ForbiddenError,
    404: NotFoundError,
    409: ConflictError,
    410: GoneError,
    413: InvalidError,
    415: InvalidError,
    422: InvalidError,
    429: UnavailableError,
}


def error_for(status: int, operation: str, message: str) -> KubeError:
    """The error for an HTTP status. `operation` names verb and object, `message` is the API server's, if any."""
    kind = _BY_STATUS.get(status, UnavailableError if status == 0 or status >= 500 else InvalidError)
    reason = message.strip().rstrip(".") or "no reason was given"
    return kind(f"{operation} was answered with {status}: {reason}.", status=status)
