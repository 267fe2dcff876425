"""What can go wrong between Berth and the API server, as types. Each text is one sentence. No I/O.

The API server's own words are part of the sentence, except about Secrets: its validation errors quote values.
"""

from __future__ import annotations


class KubeError(Exception):
    """A request that the API server did not carry out. `status` is the HTTP status, 0 when there was no answer."""

    def __init__(self, sentence: str, *, status: int = 0) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.status = status


class NotFoundError(KubeError):
    """The object, its namespace or the whole resource does not exist (404)."""


class ConflictError(KubeError):
    """Somebody else changed, replaced or already created the object (409), so a precondition failed."""


class ForbiddenError(KubeError):
    """The credentials are refused (401) or may not do this (403)."""


class InvalidError(KubeError):
    """The API server refuses the object itself (400, 413, 415, 422): only another object will do."""


class GoneError(KubeError):
    """The resource version asked for is too old (410): list again."""


class UnavailableError(KubeError):
    """No answer, or one that asks to try again later (429, 5xx)."""


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


def error_for(status: int, doing: str, words: str) -> KubeError:
    """The error for an HTTP status. `doing` names verb and object, `words` are the API server's own, if any."""
    kind = _BY_STATUS.get(status, UnavailableError if status == 0 or status >= 500 else InvalidError)
    told = words.strip().rstrip(".") or "no reason was given"
    return kind(f"{doing} was answered with {status}: {told}.", status=status)
