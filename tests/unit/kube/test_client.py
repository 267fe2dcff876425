"""How the client handles responses, without a server."""

from __future__ import annotations

import pytest

from berth.kube.client import _message, _watch_event
from berth.kube.errors import (
    ConflictError,
    ForbiddenError,
    GoneError,
    InvalidError,
    KubeError,
    NotFoundError,
    UnavailableError,
    error_for,
)
from berth.kube.resources import DEPLOYMENTS, NAMESPACES, PROJECTS, resource_of


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, InvalidError),
        (401, ForbiddenError),
        (403, ForbiddenError),
        (404, NotFoundError),
        (409, ConflictError),
        (410, GoneError),
        (422, InvalidError),
        (429, UnavailableError),
        (500, UnavailableError),
        (503, UnavailableError),
        (0, UnavailableError),
        (418, InvalidError),
    ],
)
def test_every_status_has_its_type_and_one_sentence(status: int, kind: type[KubeError]) -> None:
    error = error_for(status, "Reading Pod a/b", "no such thing. ")
    assert type(error) is kind
    assert str(error) == f"Reading Pod a/b was answered with {status}: no such thing."


def test_an_error_in_a_watch_is_an_error_and_an_unknown_event_too() -> None:
    with pytest.raises(GoneError):
        _watch_event({"type": "ERROR", "object": {"code": 410, "message": "too old"}}, DEPLOYMENTS, "Watching")
    with pytest.raises(InvalidError):
        _watch_event({"type": "SPOKEN", "object": {}}, DEPLOYMENTS, "Watching")


def test_an_error_about_a_secret_has_only_the_reason() -> None:
    body = b'{"message": "value correct-horse", "reason": "Invalid"}'
    assert _message(body, "/api/v1/namespaces/n/secrets/s") == "Invalid"
    assert _message(body, "/api/v1/namespaces/n/configmaps/s") == "value correct-horse"
    assert _message(b"<html>", "/api") == ""


def test_paths_name_what_they_must_and_nothing_else() -> None:
    assert PROJECTS.path(name="a", subresource="status") == "/apis/berth.dev/v1alpha1/projects/a/status"
    assert DEPLOYMENTS.path("n", "a/../b") == "/apis/apps/v1/namespaces/n/deployments/a%2F..%2Fb"
    assert NAMESPACES.path() == "/api/v1/namespaces"
    with pytest.raises(ValueError, match="cluster-scoped"):
        PROJECTS.path("n", "a")
    with pytest.raises(ValueError, match="needs a namespace"):
        DEPLOYMENTS.path(name="a")
    with pytest.raises(ValueError, match="knows no resource"):
        resource_of({"apiVersion": "v2", "kind": "Pod"})
