"""The projects of the matrix: one for each state, with the content that each cell may change."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final, TypeVar

from berth.api.names import repository_object_name
from berth.authz.token_format import make_token
from e2e.suite.crowd import Projects
from e2e.suite.http import EMPTY_CONFIG, Answer, Session, Wire, location
from e2e.suite.matrix.operations import ELSEWHERE, LAYER, Cell, first_image, own_image
from e2e.suite.matrix.table import SUBJECTS, TABLES
from e2e.suite.world import Cluster, Person, await_ready, certification, eventually, project_object

LEVELS: Final = {
    "viewer": "View",
    "reader": "Download",
    "editor": "Edit",
    "author": "Edit",
    "keeper": "EditAndDelete",
    "token": "Administer",
}
"""What the projects of the matrix are shared with; every other subject has nothing."""
CERTIFIED: Final = ("outsider", "viewer", "reader", "author", "token")
FILLED: Final = ("active", "repository trashed", "project trashed", "project suspended", "repository hidden")
"""The states whose repository has content."""

_PLACES: Final = {
    "active": ("open", "active"),
    "repository trashed": ("open", "trashed"),
    "repository hidden": ("open", "hidden"),
    "project trashed": ("gone", "shelf"),
    "project suspended": ("idle", "shelf"),
}
ABSENT: Final = "absent"
"""The path of a repository that is nowhere, as long as that of the hidden one."""
_STILL: Final = 5  # times in a row that an answer has to be the new one, because several replicas may answer
_AT_ONCE: Final = 8

_Item = TypeVar("_Item")


def together(calls: Iterable[Callable[[], _Item]]) -> list[_Item]:
    """Some calls at a time, in order of the calls; the first error of them."""
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return [done.result() for done in [pool.submit(call) for call in calls]]


@dataclass(frozen=True)
class Matrix:
    """The filled projects, their states brought about. `projects` by what they are for."""

    cluster: Cluster
    curator: Session
    people: Mapping[str, Session]  # by subject; without a token yet
    projects: Mapping[str, str]
    uploads: Mapping[tuple[str, str, str], str]  # by state, operation and subject

    def name(self, subject: str) -> str:
        """How sentences name a subject: the owner of a token."""
        person = self.people[subject].person
        return person.name if person is not None else ""

    def repository(self, state: str, operation: str = "", subject: str = "") -> str:
        """The full name of the repository of a cell; absent ones are each cell's own, so that no other creates it."""
        if state in _PLACES:
            project, path = _PLACES[state]
            return f"{self.projects[project]}/{path}"
        project = self.projects["open"] if state == "repository absent" else f"{self.projects['open']}-not"
        return f"{project}/{operation.replace(' ', '-').lower()}-{subject}"

    def cells(self, state: str) -> list[Cell]:
        """Every cell of a state, with its subject's token for all that it might need."""
        wanted = {key: (key[1], self.repository(state, *key)) for key in TABLES[state]}
        holders = sorted(set(wanted.values()))
        tokens = dict(zip(holders, together(partial(self._held, *holder) for holder in holders), strict=True))
        return [self._cell(state, key, tokens[wanted[key]]) for key in TABLES[state]]

    def twin(self, cell: Cell) -> Cell:
        """The same request for an absent repository with a name of the same length."""
        repository = f"{cell.project}/{ABSENT}"
        assert len(repository) == len(cell.repository)
        uploads = {name: where.replace(cell.repository, repository, 1) for name, where in cell.uploads.items()}
        held = self._held(cell.subject, repository)
        return replace(cell, session=held, repository=repository, uploads=uploads)

    def _held(self, subject: str, repository: str) -> Session:
        project, session = repository.partition("/")[0], self.people[subject]
        sources = (f"{project}/source", f"{project}/closed", f"{self.projects['other']}/source")
        wanted = [f"repository:{repository}:pull,push,delete", *(f"repository:{source}:pull" for source in sources)]
        return replace(session, bearer=session.token(*wanted, "registry:catalog:*"))

    def _cell(self, state: str, key: tuple[str, str], session: Session) -> Cell:
        repository = self.repository(state, *key)
        project = repository.partition("/")[0]
        uploads = {known[1]: where for known, where in self.uploads.items() if (known[0], known[2]) == (state, key[1])}
        return Cell(
            *key,
            session=session,
            repository=repository,
            uploads=uploads,
            source=f"{project}/source",
            closed=f"{project}/closed",
            across=f"{self.projects['other']}/source",
        )

    def restore(self) -> None:
        """Everything active again, and served."""
        self._set_states(trashed=False)
        await_ready(self.cluster, self.projects["idle"])
        for state in FILLED:
            pulls = partial(self.curator.pull, self.repository(state), "v1")
            eventually(partial(_all_answer, pulls, 200), f"{state}: the content is back")

    def change(self) -> None:
        """Change the states, and wait until every replica has them."""
        self._set_states(trashed=True)
        local = {"spec": {"localSharing": [{"kind": "User", "name": _who(self.curator), "level": "Administer"}]}}
        for path in ("hidden", "closed"):
            self._patch_repository("open", path, local)
        for state in ("repository trashed", "project trashed", "project suspended"):
            self._await_refusal(self.curator, self.repository(state))
        for repository in (self.repository("repository hidden"), f"{self.projects['open']}/closed"):
            self._await_refusal(self.people["author"], repository)

    def _set_states(self, *, trashed: bool) -> None:
        self.cluster.patch("project", self.projects["gone"], {"spec": {"trashed": trashed}}).must()
        self.cluster.patch("project", self.projects["idle"], {"spec": {"suspend": trashed}}).must()
        self._patch_repository("open", "trashed", {"spec": {"trashed": trashed}})

    def _patch_repository(self, project: str, path: str, change: Mapping[str, Any]) -> None:
        name, where = repository_object_name(path), f"berth-{self.projects[project]}"
        eventually(lambda: self.cluster.get("dockerrepository", name, where), f"{name} has an object")
        self.cluster.patch("dockerrepository", name, change, where).must()

    def _await_refusal(self, session: Session, repository: str) -> None:
        pulls = partial(session.hold(repository, "pull").pull, repository, "v1")
        eventually(partial(_all_answer, pulls, 403), f"{repository} is refused")


def open_matrix(projects: Projects, wire: Wire, person: Callable[..., Person]) -> Matrix:
    """Make people and projects, fill them, and change their states."""
    cluster, curator = projects.cluster, Session(wire, projects.crowd.curator)
    people = _people(cluster, wire, person)
    made = {purpose: projects.name(f"matrix-{purpose}") for purpose in ("open", "gone", "idle", "other")}
    sharing = [{"kind": "User", "name": _who(curator), "level": "Administer"}]
    sharing += [{"kind": "User", "name": _who(people[subject]), "level": level} for subject, level in LEVELS.items()]
    cluster.apply(*(project_object(name, sharing) for name in made.values()))
    for name in made.values():
        await_ready(cluster, name)
        for session in (curator, people["author"]):
            eventually(partial(_all_answer, partial(session.start_upload, f"{name}/any"), 202), f"{name} takes uploads")
    matrix = Matrix(cluster, curator, people, made, {})
    together(partial(_fill_sources, curator, name) for name in made.values())
    together(partial(_fill, curator, matrix.repository(state)) for state in FILLED)
    matrix = replace(matrix, uploads=_uploads(matrix))
    _await_listed(matrix)
    matrix.change()
    return matrix


def _people(cluster: Cluster, wire: Wire, person: Callable[..., Person]) -> Mapping[str, Session]:
    run = secrets.token_hex(2)
    people: dict[str, Session] = {"anonymous": Session(wire)}
    for subject in SUBJECTS[1:]:
        made = person(f"{subject}-{run}")
        if subject in CERTIFIED:
            cluster.apply(certification(made.name))
        if subject == "token":
            made = replace(made, password=_download_token(cluster, made.name))
        people[subject] = Session(wire, made)
    for subject, session in people.items():
        eventually(partial(_all_answer, session.token_answer, 200), f"{subject} can log in")
    return people


def _all_answer(ask: Callable[[], Answer], status: int) -> bool:
    return all(ask().status == status for _ in range(_STILL))


def _download_token(cluster: Cluster, owner: str) -> str:
    secret = make_token(secrets.token_bytes(32))
    spec = {
        "owner": {"kind": "User", "name": owner},
        "scopes": ["download"],
        "sha256": hashlib.sha256(secret.encode()).hexdigest(),
    }
    cluster.apply(
        {
            "apiVersion": "berth.dev/v1alpha1",
            "kind": "AccessToken",
            "metadata": {"name": f"{owner}-download"},
            "spec": spec,
        }
    )
    return secret


def _who(session: Session) -> str:
    assert session.person is not None
    return session.person.name


def _fill_sources(curator: Session, project: str) -> None:
    for path in ("source", "closed"):
        curator.push(f"{project}/{path}", "v1", ELSEWHERE).must(201)


def _fill(curator: Session, repository: str) -> None:
    """`v1` and `latest`, and for each subject what it may overwrite and delete."""
    held = curator.hold(repository)
    for content in (EMPTY_CONFIG, LAYER):
        held.upload(repository, content).must(201)
    for tag in ("v1", "latest"):
        held.put(repository, tag, first_image()).must(201)
    for subject in SUBJECTS:
        held.put(repository, f"over-{subject}", first_image()).must(201)
        held.put(repository, f"tag-{subject}", own_image("tag", subject)).must(201)
        held.put(repository, f"digest-{subject}", own_image("digest", subject)).must(201)


def _uploads(matrix: Matrix) -> Mapping[tuple[str, str, str], str]:
    """Upload sessions for the cells that go on with one, and the blobs that manifests of absent repositories name."""
    keys = [
        (state, operation, subject)
        for state in (*FILLED, "repository absent")
        for operation in ("patch upload", "put upload")
        for subject in SUBJECTS
    ]
    started = dict(zip(keys, together(partial(_start, matrix, key) for key in keys), strict=True))
    puts = ("new manifest", "overwrite", "move latest")
    absent = [matrix.repository("repository absent", operation, subject) for operation in puts for subject in SUBJECTS]
    together(partial(_fill_blobs, matrix.curator, repository) for repository in absent)
    gone = [key for key in started if key[0] == "repository absent"]
    return {**started, **{("project absent", *key[1:]): _elsewhere(matrix, key, started[key]) for key in gone}}


def _start(matrix: Matrix, key: tuple[str, str, str]) -> str:
    return location(matrix.curator.start_upload(matrix.repository(*key)).must(202))


def _elsewhere(matrix: Matrix, key: tuple[str, str, str], where: str) -> str:
    """The same session, requested in a project that does not exist."""
    return where.replace(matrix.repository(*key), matrix.repository("project absent", *key[1:]), 1)


def _fill_blobs(curator: Session, repository: str) -> None:
    held = curator.hold(repository)
    for content in (EMPTY_CONFIG, LAYER):
        held.upload(repository, content).must(201)


def _await_listed(matrix: Matrix) -> None:
    """The list follows the catalog, which follows the pushes."""
    wanted = {matrix.repository(state) for state in FILLED}

    def is_listed() -> bool:
        held = replace(matrix.curator, bearer=matrix.curator.token("registry:catalog:*"))
        return wanted <= set(held.ask("GET", "/v2/_catalog?n=1000").must(200).json["repositories"])

    eventually(is_listed, "everything is in the list")
