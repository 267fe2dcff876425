"""Requests to the registry API: what is understood, and that nothing is which two programs could read differently."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest

from berth.api.policy import Action
from berth.authz.model import AccessRequest
from berth.oci.request import METHODS, InvalidReferenceError, RegistryRequest, Route, parse_request, split_name
from berth.services.access.authorize.authorizer import access_request

SHA = "sha256:" + "0123456789abcdef" * 4
SHA512 = "sha512:" + "0123456789abcdef" * 8

METHODS_SEEN = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
WELL_FORMED = (
    "/v2/",
    "/v2/_catalog?n=5&last=p/r",
    "/v2/p/r/tags/list?n=5",
    "/v2/p/a/b/manifests/latest",
    f"/v2/p/r/manifests/{SHA}",
    f"/v2/p/r/blobs/{SHA}",
    f"/v2/p/r/blobs/uploads/?mount={SHA}&from=p%2Fa",
    "/v2/p/r/blobs/uploads/1-2?_state=a%3D",
    f"/v2/p/r/referrers/{SHA}",
)
PIECES = (
    *("/", "p", "..", ".", "%2F", "%", "/blobs", "/uploads/", "/tags/list", "1", "?", "&", "from=", "n=", "digest="),
    *(SHA, "\\", "\x00", "é", "_catalog", "/manifests/", "/referrers/", ":", "\n", ";", "#", "-", "__", "A"),
)


def refusal(method: str, target: str) -> str:
    """The sentence with which it is refused."""
    with pytest.raises(InvalidReferenceError) as caught:
        parse_request(method, target)
    sentence = caught.value.sentence
    assert len(sentence) <= 200
    assert sentence.isascii()
    assert sentence.isprintable()
    assert '"' not in sentence
    assert "\\" not in sentence
    return sentence


@pytest.mark.parametrize(
    ("method", "target", "route", "repository", "reference", "action"),
    [
        ("GET", "/v2/p/r/manifests/latest", Route.MANIFEST, "r", "latest", Action.PULL),
        ("HEAD", "/v2/p/a/b/c/manifests/V1.0_x-y", Route.MANIFEST, "a/b/c", "V1.0_x-y", Action.PULL),
        ("PUT", "/v2/p/r/manifests/v1", Route.MANIFEST, "r", "v1", Action.PUSH),
        ("DELETE", f"/v2/p/r/manifests/{SHA}", Route.MANIFEST, "r", SHA, Action.DELETE),
        ("GET", f"/v2/p/r/manifests/{SHA512}", Route.MANIFEST, "r", SHA512, Action.PULL),
        ("GET", f"/v2/p/r/blobs/{SHA}", Route.BLOB, "r", SHA, Action.PULL),
        ("HEAD", f"/v2/p/r/blobs/{SHA}", Route.BLOB, "r", SHA, Action.PULL),
        ("POST", "/v2/p/r/blobs/uploads/", Route.UPLOADS, "r", "", Action.PUSH),
        ("GET", "/v2/p/r/blobs/uploads/1f-2_3.4=", Route.UPLOAD, "r", "1f-2_3.4=", Action.PUSH),
        ("PATCH", "/v2/p/r/blobs/uploads/id?_state=ab%3D", Route.UPLOAD, "r", "id", Action.PUSH),
        ("PUT", "/v2/p/r/blobs/uploads/id", Route.UPLOAD, "r", "id", Action.PUSH),
        ("DELETE", "/v2/p/r/blobs/uploads/id", Route.UPLOAD, "r", "id", Action.PUSH),
        ("GET", "/v2/p/r/tags/list", Route.TAGS, "r", "", Action.PULL),
        ("GET", f"/v2/p/r/referrers/{SHA}", Route.REFERRERS, "r", SHA, Action.PULL),
        # the words of the endpoints are good names too: only the end of the path counts
        ("GET", "/v2/p/manifests/blobs/tags/tags/list", Route.TAGS, "manifests/blobs/tags", "", Action.PULL),
        ("GET", "/v2/p/blobs/uploads/manifests/list", Route.MANIFEST, "blobs/uploads", "list", Action.PULL),
        ("POST", "/v2/p/r/blobs/uploads/blobs/uploads/", Route.UPLOADS, "r/blobs/uploads", "", Action.PUSH),
        ("GET", "/v2/p/r/manifests/uploads", Route.MANIFEST, "r", "uploads", Action.PULL),
    ],
)
def test_every_endpoint_is_understood(
    method: str, target: str, route: Route, repository: str, reference: str, action: Action
) -> None:
    request = parse_request(method, target)
    assert (request.route, request.project, request.repository, request.reference) == (
        route,
        "p",
        repository,
        reference,
    )
    assert request.action is action
    assert request.name == f"p/{repository}"
    assert request.by_digest is reference.startswith("sha")
    assert request.target == target
    assert access_request(request, 7) == AccessRequest(action, "p", repository, 7)


def test_the_base_and_the_catalog_belong_to_no_repository() -> None:
    assert parse_request("GET", "/v2/") == RegistryRequest(Route.BASE, "GET", "/v2/")
    catalog = parse_request("GET", "/v2/_catalog?n=10&last=p%2Fa")
    assert (catalog.route, catalog.name, catalog.n, catalog.last) == (Route.CATALOG, "", 10, "p/a")
    assert catalog.action is Action.VIEW
    assert catalog.token_actions == ()


@pytest.mark.parametrize(
    ("method", "target", "cancels"),
    [
        ("DELETE", "/v2/p/r/blobs/uploads/id", True),
        ("PATCH", "/v2/p/r/blobs/uploads/id", False),
        ("DELETE", "/v2/p/r/manifests/v1", False),
    ],
)
def test_deleting_an_upload_session_cancels_it(method: str, target: str, cancels: bool) -> None:
    assert parse_request(method, target).is_upload_cancel is cancels


@pytest.mark.parametrize(
    ("method", "target", "actions"),
    [
        ("GET", "/v2/p/r/tags/list", ("pull",)),
        ("PUT", "/v2/p/r/manifests/v1", ("pull", "push")),
        ("DELETE", "/v2/p/r/manifests/v1", ("delete",)),
    ],
)
def test_the_actions_of_a_token_are_those_that_the_registry_wants(
    method: str, target: str, actions: tuple[str, ...]
) -> None:
    assert parse_request(method, target).token_actions == actions


def test_a_query_is_read_and_kept_as_it_was_sent() -> None:
    query = f"_state=AbC-_1%3D%3d&digest={SHA.replace(':', '%3A')}"
    request = parse_request("PUT", f"/v2/p/r/blobs/uploads/id?{query}")
    assert request.query == query
    assert request.digest == SHA
    assert request.target.endswith(query)


def test_a_mount_names_its_blob_and_its_source() -> None:
    request = parse_request("POST", f"/v2/p/r/blobs/uploads/?mount={SHA.replace(':', '%3A')}&from=p%2Fa%2Fb")
    assert (request.mount_digest, request.mount_from) == (SHA, ("p", "a/b"))
    assert request.is_mount_requested
    assert request.can_mount


@pytest.mark.parametrize(
    "query",
    [
        f"mount={SHA}&from=other/r",
        f"mount={SHA}&from=p",
        f"mount={SHA}&from=P/R",
        f"mount={SHA}&from=p/../q/r",
        f"mount={SHA}&from=",
        f"mount={SHA}",
        "from=p/a",
        "mount=&from=p/a",
    ],
)
def test_an_impossible_mount_is_an_upload_with_a_requested_mount(query: str) -> None:
    request = parse_request("POST", f"/v2/p/r/blobs/uploads/?{query}")
    assert request.is_mount_requested
    assert not request.can_mount


def test_a_mount_is_read_only_where_an_upload_begins() -> None:
    request = parse_request("PUT", f"/v2/p/r/blobs/uploads/id?mount={SHA}&from=p/a")
    assert not request.is_mount_requested
    assert request.mount_from is None


@pytest.mark.parametrize(
    "target",
    [
        "/v2/p%2Fr/manifests/1",
        "/v2/p/r%2f..%2fsecret/manifests/1",
        "/v2/p/%72/manifests/1",
        "/v2/p/r/manifests/1%00",
        "/v2/p/r/blobs/sha256%3A" + "0" * 64,
        "/v2/%",
    ],
)
def test_a_percent_encoded_path_is_refused(target: str) -> None:
    assert "percent-encoded" in refusal("GET", target)


@pytest.mark.parametrize(
    "target",
    [
        "/v2/p/../q/r/manifests/1",
        "/v2/p/./r/manifests/1",
        "/v2/p/r/manifests/..",
        "/v2/p/r/manifests/.",
        "/v2/..",
        "//v2/p/r/manifests/1",
        "/v2//p/r/manifests/1",
        "/v2/p//r/manifests/1",
        "/v2/p/r/manifests//1",
        "/v2/p/r/blobs/uploads//",
    ],
)
def test_dot_segments_and_double_slashes_are_refused(target: str) -> None:
    assert "empty part or a part of dots" in refusal("GET", target)


@pytest.mark.parametrize(
    "character", ["\\", "\x00", "\r", "\n", "\t", " ", "\x7f", "é", "\u2028", "#", ";", "'", '"', "<"]
)
def test_a_character_that_no_name_has_is_refused(character: str) -> None:
    assert "character" in refusal("GET", f"/v2/p/r{character}x/manifests/1")
    assert "character" in refusal("GET", f"/v2/p/r/manifests/1{character}")


@pytest.mark.parametrize(
    "query",
    ["a=%", "a=%2", "a=%zz", "a=1;b=2", "a=b#c", "a=b c", "a=\\", "a=é", "a=\x00", "a=\n", 'a="', "a=<"],
)
def test_a_query_that_two_programs_may_read_differently_is_refused(query: str) -> None:
    assert "query" in refusal("GET", f"/v2/p/r/tags/list?{query}")


@pytest.mark.parametrize("query", ["from=p/a&from=p/b", "mount=&mount=", "fr%6Fm=p/a&from=p/b", "digest=&digest=x"])
def test_a_parameter_that_counts_may_be_sent_once(query: str) -> None:
    assert "more than once" in refusal("POST", f"/v2/p/r/blobs/uploads/?{query}")


@pytest.mark.parametrize("query", ["mount=latest&from=p/a", "digest=sha256:1", "digest=md5%3Aabc", f"digest={SHA}%0A"])
def test_a_digest_in_the_query_must_be_one(query: str) -> None:
    assert "is not a digest" in refusal("POST", f"/v2/p/r/blobs/uploads/?{query}")


@pytest.mark.parametrize("n", ["x", "-1", "1.5", "+1", "1" * 5000, "%D9%A1"])
def test_the_length_of_a_list_must_be_a_number(n: str) -> None:
    assert "is not a number" in refusal("GET", f"/v2/_catalog?n={n}")


def test_a_project_alone_is_no_image_and_the_form_is_said() -> None:
    sentence = refusal("GET", "/v2/genomics/manifests/1")
    assert sentence == "genomics names no repository; an image is named HOST/<project>/<repository>."


@pytest.mark.parametrize("name", ["Genomics/aligner", "my_project/aligner", "-p/aligner", "p" * 51 + "/aligner"])
def test_a_project_id_that_cannot_exist_is_refused(name: str) -> None:
    assert "is not a project id" in refusal("GET", f"/v2/{name}/manifests/1")


@pytest.mark.parametrize("path", ["Aligner", "a/B", "a_", "_a", "a..b", "a___b", "a-", "a:b", "a@b", "a+b", "a~b"])
def test_a_repository_name_that_cannot_exist_is_refused(path: str) -> None:
    assert "is not a repository name" in refusal("GET", f"/v2/p/{path}/manifests/1")


def test_a_repository_name_has_at_most_200_characters() -> None:
    assert parse_request("GET", f"/v2/p/{'r' * 200}/manifests/1").repository == "r" * 200
    assert "longer than 200 characters" in refusal("GET", f"/v2/p/{'r' * 201}/manifests/1")


def test_a_target_has_at_most_8000_characters() -> None:
    assert "longer than 8000" in refusal("GET", "/v2/p/r/tags/list?x=" + "a" * 8000)


@pytest.mark.parametrize("tag", [".a", "-a", "a" * 129, "a+b", "a@b", "a~b", "a=b", ""])
def test_what_is_no_tag_is_refused(tag: str) -> None:
    assert "is not a tag" in refusal("PUT", f"/v2/p/r/manifests/{tag}")


@pytest.mark.parametrize(
    "digest", ["sha256:abc", "sha256:" + "A" * 64, "sha256:" + "0" * 65, "md5:" + "0" * 32, ":", "sha256:"]
)
def test_what_looks_like_a_digest_must_be_one(digest: str) -> None:
    for endpoint in ("manifests", "blobs", "referrers"):
        assert "is not a digest" in refusal("GET", f"/v2/p/r/{endpoint}/{digest}")


def test_an_empty_reference_is_named_as_such() -> None:
    assert refusal("GET", "/v2/p/r/manifests/").startswith("(empty) is not a tag")
    assert refusal("GET", "/v2/p/r/manifests/a+b").startswith("a+b is not a tag")
    assert refusal("GET", "/v2/p/r/blobs/").startswith("(empty) is not a digest")
    assert refusal("GET", "/v2/p/r/blobs/latest").startswith("latest is not a digest")


@pytest.mark.parametrize("target", ["/v2/p/r/blobs/uploads", "/v2/p/r/blobs/latest", "/v2/p/r/referrers/latest"])
def test_blobs_and_referrers_have_digests_alone(target: str) -> None:
    assert "is not a digest" in refusal("GET", target)


@pytest.mark.parametrize(
    "target",
    ["/v2/x", "/v2/p/r", "/v2/p/r/", "/v2/p/r/tags", "/v2/p/r/tags/list/", "/v2/p/r/uploads/x", "/v2/_catalog/"],
)
def test_an_endpoint_that_does_not_exist_is_refused(target: str) -> None:
    assert "no such endpoint" in refusal("GET", target)


@pytest.mark.parametrize("target", ["", "*", "/", "/v1/p/r/manifests/1", "/v2", "https://h/v2/", "v2/", "/V2/"])
def test_what_is_not_below_v2_is_refused(target: str) -> None:
    refusal("GET", target)


def test_an_upload_session_is_named_as_the_registry_names_it() -> None:
    assert "upload session" in refusal("PATCH", "/v2/p/r/blobs/uploads/a:b")
    assert "upload session" in refusal("PATCH", f"/v2/p/r/blobs/uploads/{'a' * 257}")


@pytest.mark.parametrize("route", list(Route))
def test_each_endpoint_takes_its_own_methods_alone(route: Route) -> None:
    targets = {
        Route.BASE: "/v2/",
        Route.CATALOG: "/v2/_catalog",
        Route.TAGS: "/v2/p/r/tags/list",
        Route.MANIFEST: "/v2/p/r/manifests/1",
        Route.BLOB: f"/v2/p/r/blobs/{SHA}",
        Route.UPLOADS: "/v2/p/r/blobs/uploads/",
        Route.UPLOAD: "/v2/p/r/blobs/uploads/1",
        Route.REFERRERS: f"/v2/p/r/referrers/{SHA}",
    }
    for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "get", "", "X\n"):
        if method in METHODS[route]:
            assert parse_request(method, targets[route]).route is route
        else:
            assert ", ".join(METHODS[route]) in refusal(method, targets[route])


def test_a_full_name_has_a_project_and_a_repository() -> None:
    assert split_name("p/a/b") == ("p", "a/b")
    for name in ("p", "", "/", "p/", "/r", "P/r", "host:5000/p/r", "p/r\n"):
        assert split_name(name) is None


def test_no_input_makes_it_fail_otherwise_and_what_is_understood_is_exact() -> None:
    rng = Random(12)
    outcomes = Counter(judged(rng.choice(METHODS_SEEN), mutated(rng, rng.choice(WELL_FORMED))) for _ in range(40000))
    assert min(outcomes[True], outcomes[False]) > 2000


def judged(method: str, target: str) -> bool:
    """Whether it is understood; raises if that is not exact or the refusal not a plain sentence."""
    try:
        request = parse_request(method, target)
    except InvalidReferenceError as error:
        if not (len(error.sentence) <= 200 and error.sentence.isascii() and error.sentence.isprintable()):
            raise AssertionError(error.sentence) from error
        return False
    assert rebuilt(request) == target.partition("?")[0]
    return True


def mutated(rng: Random, target: str) -> str:
    """The target with up to three pieces cut out, put in or put over others."""
    for _ in range(rng.randint(0, 3)):
        start = rng.randint(0, len(target))
        end = start + rng.choice((0, 0, 1, 2, 9))
        target = target[:start] + rng.choice(("", *PIECES)) + target[end:]
    return target


def rebuilt(request: RegistryRequest) -> str:
    """The path that these parts stand for: if it is the one that was sent, nothing was read into it."""
    ends = {
        Route.BASE: "",
        Route.CATALOG: "_catalog",
        Route.TAGS: "/tags/list",
        Route.MANIFEST: f"/manifests/{request.reference}",
        Route.BLOB: f"/blobs/{request.reference}",
        Route.UPLOADS: "/blobs/uploads/",
        Route.UPLOAD: f"/blobs/uploads/{request.reference}",
        Route.REFERRERS: f"/referrers/{request.reference}",
    }
    return f"/v2/{request.name}{ends[request.route]}"
