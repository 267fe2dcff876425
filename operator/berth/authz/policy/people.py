"""Incremental builder of the users, teams, tokens and certifications of the policy snapshot. Pure.

A change of a team updates its members alone; no project and no policy is read.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from datetime import datetime
from typing import Generic, TypeVar

from berth.authz.model import AccessTokenRecord, Subject, User
from berth.authz.policy.facts import CertificationFacts, SecretFacts, TeamFacts, TokenFacts, UserFacts

_Key = TypeVar("_Key", bound=Hashable)
_Value = TypeVar("_Value")


class _Index(Generic[_Key, _Value]):
    """An index from keys to values that come from the objects naming the key; only changed keys are computed again.

    `resolve` computes the value of a key from the names of its objects. A returned mapping never changes.
    """

    def __init__(self, resolve: Callable[[frozenset[str]], _Value]) -> None:
        self._resolve = resolve
        self._names: dict[_Key, set[str]] = {}
        self._dirty: set[_Key] = set()
        self._published: Mapping[_Key, _Value] = {}

    @property
    def has_changes(self) -> bool:
        return bool(self._dirty)

    def update(self, name: str, before: Iterable[_Key], after: Iterable[_Key]) -> None:
        """Replace the keys `before` of an object by the keys `after`."""
        for key in before:
            self._names[key].discard(name)
            self._dirty.add(key)
        for key in after:
            self._names.setdefault(key, set()).add(name)
            self._dirty.add(key)

    def mapping(self) -> Mapping[_Key, _Value]:
        if self._dirty:
            made = dict(self._published)
            for key in self._dirty:
                if self._names.get(key):
                    made[key] = self._resolve(frozenset(self._names[key]))
                else:
                    self._names.pop(key, None)
                    made.pop(key, None)
            self._published, self._dirty = made, set()
        return self._published


class PeopleBuilder:
    """Builds mappings for a snapshot from the facts of single objects. Facts of None: the object is gone."""

    def __init__(self) -> None:
        self._users: dict[str, UserFacts] = {}
        self._secrets: dict[str, SecretFacts] = {}
        self._teams: dict[str, TeamFacts] = {}
        self._tokens: dict[str, TokenFacts] = {}
        self._certifications: dict[str, CertificationFacts] = {}
        self._users_of_secret: dict[str, set[str]] = {}
        self._user_index: _Index[str, User] = _Index(self._user)
        self._team_index: _Index[Subject, frozenset[str]] = _Index(frozenset)
        self._alias_index: _Index[Subject, frozenset[str]] = _Index(frozenset)
        self._token_index: _Index[str, AccessTokenRecord] = _Index(self._token)
        self._certification_index: _Index[Subject, datetime | None] = _Index(self._latest_end)

    @property
    def has_changes(self) -> bool:
        """Whether anything changed since the mappings were last read."""
        return (
            self._user_index.has_changes
            or self._team_index.has_changes
            or self._alias_index.has_changes
            or self._token_index.has_changes
            or self._certification_index.has_changes
        )

    def users(self) -> Mapping[str, User]:
        """The users by name."""
        return self._user_index.mapping()

    def teams_of(self) -> Mapping[Subject, frozenset[str]]:
        """The names of the teams of each member."""
        return self._team_index.mapping()

    def aliases(self) -> Mapping[Subject, frozenset[str]]:
        """The user names that an external name or ServiceAccount acts as."""
        return self._alias_index.mapping()

    def tokens(self) -> Mapping[str, AccessTokenRecord]:
        """The tokens by the SHA-256 of the secret; of two objects with one secret the first by name counts."""
        return self._token_index.mapping()

    def certifications(self) -> Mapping[Subject, datetime | None]:
        """The latest end for each subject; None: until withdrawn."""
        return self._certification_index.mapping()

    def update_user(self, name: str, facts: UserFacts | None) -> None:
        """Update a RegistryUser."""
        before = _replace(self._users, name, facts)
        if before == facts:
            return
        self._user_index.update(name, _one(name, before), _one(name, facts))
        self._alias_index.update(name, before.aliases if before else (), facts.aliases if facts else ())
        if before is not None and before.secret is not None:
            self._users_of_secret[before.secret[0]].discard(name)
        if facts is not None and facts.secret is not None:
            self._users_of_secret.setdefault(facts.secret[0], set()).add(name)

    def update_secret(self, name: str, facts: SecretFacts | None) -> None:
        """Update a Secret of Berth's own namespace."""
        if _replace(self._secrets, name, facts) != facts:
            for user in self._users_of_secret.get(name, ()):
                self._user_index.update(user, (user,), (user,))

    def update_team(self, name: str, facts: TeamFacts | None) -> None:
        """Update a RegistryTeam."""
        before = _replace(self._teams, name, facts)
        old = before.members if before else frozenset()
        new = facts.members if facts else frozenset()
        self._team_index.update(name, old - new, new - old)

    def update_token(self, name: str, facts: TokenFacts | None) -> None:
        """Update an AccessToken."""
        before = _replace(self._tokens, name, facts)
        if before != facts:
            self._token_index.update(name, (before.sha256,) if before else (), (facts.sha256,) if facts else ())

    def update_certification(self, name: str, facts: CertificationFacts | None) -> None:
        """Update a Certification."""
        before = _replace(self._certifications, name, facts)
        if before != facts:
            self._certification_index.update(
                name, (before.subject,) if before else (), (facts.subject,) if facts else ()
            )

    def _user(self, names: frozenset[str]) -> User:
        (name,) = names
        facts = self._users[name]
        secret = self._secrets.get(facts.secret[0]) if facts.secret else None
        return User(
            name=name,
            robot=facts.robot,
            disabled=facts.disabled,
            password_hash=secret.hashes.get(facts.secret[1]) if secret and facts.secret else None,
        )

    def _token(self, names: frozenset[str]) -> AccessTokenRecord:
        return self._tokens[min(names)].record

    def _latest_end(self, names: frozenset[str]) -> datetime | None:
        ends = [self._certifications[name].until for name in names]
        known = [end for end in ends if end is not None]
        return max(known) if len(known) == len(ends) else None


def _replace(facts: dict[str, _Value], name: str, new: _Value | None) -> _Value | None:
    """Replace the facts of an object; returns the old ones."""
    before = facts.pop(name, None)
    if new is not None:
        facts[name] = new
    return before


def _one(name: str, facts: object | None) -> tuple[str, ...]:
    return (name,) if facts is not None else ()
