"""Malformed scopes and paths in random worlds: a parsed request never gives more rights than the policy."""

from __future__ import annotations

from berth.api.policy import Action
from berth.authz.actor import actor_of
from berth.authz.decide import is_allowed
from berth.authz.grant import grant
from berth.authz.model import AccessRequest, CredentialKind
from berth.oci.request import InvalidReferenceError, RegistryRequest, Route, parse_request
from berth.oci.scope import InvalidScopeError, Scope, parse_scopes
from berth.services.access.authorize.authorizer import access_request
from tests.kit.authz.evaluator import expected
from tests.kit.authz.random_worlds import Case, Dice, check_worlds
from tests.kit.authz.worlds import NOW

ROUNDS = 10_000
EXAMPLES = 250
SCOPES = (
    "repository:alpha/x:pull",
    "repository:alpha/a/b:pull,push",
    "repository:beta/x:push,pull",
    "repository:beta/new:pull,push,delete",
    "repository(plugin):alpha/x:pull",
    "registry:catalog:*",
    "repository:alpha/x:pull repository:beta/a/b:push",
)
TARGETS = (
    ("GET", "/v2/alpha/x/manifests/v1"),
    ("HEAD", "/v2/beta/a/b/manifests/sha256:" + "0" * 64),
    ("PUT", "/v2/alpha/new/manifests/latest"),
    ("DELETE", "/v2/beta/x/manifests/v1"),
    ("GET", "/v2/alpha/a/b/blobs/sha256:" + "1" * 64),
    ("POST", "/v2/beta/new/blobs/uploads/"),
    ("POST", "/v2/alpha/x/blobs/uploads/?mount=sha256:" + "2" * 64 + "&from=beta/x"),
    ("GET", "/v2/alpha/x/tags/list"),
)
PIECES = (
    ":",
    ":",
    ",",
    "/",
    "//",
    "..",
    ".",
    "*",
    " ",
    "%2f",
    "\x00",
    "\n",
    "é",
    "?",
    "&from=",
    "@",
    "alpha",
    "beta/x",
)
PIECES_OF_SCOPES = (*PIECES, "pull", "push", "delete", "registry", "catalog", "repository")


def twisted(dice: Dice, text: str, pieces: tuple[str, ...]) -> str:
    """The text with up to three pieces cut out, put in or put over others."""
    for _ in range(dice.pick(range(4))):
        start = dice.pick(range(len(text) + 1))
        text = text[:start] + dice.pick(("", *pieces)) + text[start + dice.pick((0, 0, 1, 2, 9)) :]
    return text


def test_no_scope_however_twisted_is_granted_beyond_the_policy() -> None:
    def holds(case: Case, dice: Dice) -> str:
        try:
            scopes = parse_scopes([twisted(dice, dice.pick(SCOPES), PIECES_OF_SCOPES)])
        except InvalidScopeError:
            return "refused"
        granted = grant(case.snapshot, case.identity, scopes, NOW).access
        requested = {(scope.type, scope.name): scope for scope in scopes}
        for entry in granted:
            check(case, requested[entry.type, entry.name], entry.actions)
        return "granted" if granted else "nothing"

    seen = check_worlds(holds, seed=30, count=ROUNDS, examples=EXAMPLES)
    assert min(seen["refused"], seen["nothing"], seen["granted"]) > 150, seen


def check(case: Case, scope: Scope, actions: tuple[str, ...]) -> None:
    """Check that a grant was requested and that the second evaluator allows it."""
    assert "*" in scope.actions or set(actions) <= set(scope.actions)
    if scope.type == "registry":
        assert (scope.name, actions) == ("catalog", ("*",))
        assert case.identity.credential is CredentialKind.SERVICE
        return
    assert scope.type == "repository"
    assert set(actions) <= {"pull", "push", "delete"}
    project, _, repository = scope.name.partition("/")
    for action in actions:
        assert not expected(case.snapshot, case.identity, AccessRequest(Action(action), project, repository), NOW)


def test_no_path_however_twisted_is_allowed_beyond_the_policy() -> None:
    def holds(case: Case, dice: Dice) -> str:
        method, target = dice.pick(TARGETS)
        target = twisted(dice, target, PIECES)
        request = understood(method, target)
        if request is None:
            return "refused"
        wanted = access_request(request)
        allowed = is_allowed(case.snapshot, actor_of(case.snapshot, case.identity, NOW), wanted, NOW)
        if request.route not in (Route.BASE, Route.CATALOG):
            assert target.startswith(f"/v2/{wanted.project}/{wanted.repository}/"), (
                "it decides on the very name that was sent"
            )
            assert allowed is not bool(expected(case.snapshot, case.identity, wanted, NOW))
        return "allowed" if allowed else "denied"

    seen = check_worlds(holds, seed=31, count=ROUNDS, examples=EXAMPLES)
    assert min(seen["refused"], seen["denied"], seen["allowed"]) > 150, seen


def understood(method: str, target: str) -> RegistryRequest | None:
    try:
        return parse_request(method, target)
    except InvalidReferenceError:
        return None
