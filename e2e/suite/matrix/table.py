"""Who may do what, in every state: one table for each state, one row for each operation, one column for each subject.

Written from the rules of sharing and the order of the reasons (docs/reasons.md), not from the code.

    subject    level in the project   certified   logged in with
    anonymous  -                      -           nothing
    outsider   -                      yes         password
    viewer     View                   yes         password
    reader     Download               yes         password
    editor     Edit                   no          password
    author     Edit                   yes         password
    keeper     EditAndDelete          no          password
    token      Administer             yes         an AccessToken with the scope `download` alone

    cell  what happens
    ok    it is done
    in    the response is a list with the repository
    -     the response is a list without the repository
    404   the registry itself answers that it does not have it
    na    NotAuthenticated      nf  NotFound            lv  LevelTooLow       nc  NotCertified
    sc    TokenScopeMissing     rt  RepositoryTrashed   pt  ProjectTrashed    su  ProjectSuspended

How a refusal looks: 403 with the code DENIED and the reason's sentence, but 404 to a HEAD of a blob, and to a HEAD of a
manifest by digest with a token that was requested for a push (docs/clients.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

SUBJECTS: Final = ("anonymous", "outsider", "viewer", "reader", "editor", "author", "keeper", "token")

_ACTIVE = """
                anonymous outsider viewer reader editor author keeper token
HEAD manifest   na        nf       lv     ok     ok     ok     ok     ok
HEAD digest     na        nf       lv     ok     ok     ok     ok     ok
GET manifest    na        nf       lv     ok     ok     ok     ok     ok
HEAD blob       na        nf       lv     ok     ok     ok     ok     ok
GET blob        na        nf       lv     ok     ok     ok     ok     ok
list tags       na        nf       lv     ok     ok     ok     ok     ok
list catalog    na        -        in     in     in     in     in     -
list referrers  na        nf       lv     ok     ok     ok     ok     ok
start upload    na        nf       lv     lv     nc     ok     nc     sc
patch upload    na        nf       lv     lv     nc     ok     nc     sc
put upload      na        nf       lv     lv     nc     ok     nc     sc
mount within    na        nf       lv     lv     nc     ok     nc     sc
mount across    na        nf       lv     lv     nc     ok     nc     sc
mount closed    na        nf       lv     lv     nc     ok     nc     sc
new manifest    na        nf       lv     lv     nc     ok     nc     sc
overwrite       na        nf       lv     lv     nc     ok     nc     sc
move latest     na        nf       lv     lv     nc     ok     nc     sc
delete tag      na        nf       lv     lv     lv     lv     ok     sc
delete digest   na        nf       lv     lv     lv     lv     ok     sc
"""

_REPOSITORY_TRASHED = """
                anonymous outsider viewer reader editor author keeper token
HEAD manifest   na        nf       rt     rt     rt     rt     rt     rt
HEAD digest     na        nf       rt     rt     rt     rt     rt     rt
GET manifest    na        nf       rt     rt     rt     rt     rt     rt
HEAD blob       na        nf       rt     rt     rt     rt     rt     rt
GET blob        na        nf       rt     rt     rt     rt     rt     rt
list tags       na        nf       rt     rt     rt     rt     rt     rt
list catalog    na        -        -      -      -      -      -      -
list referrers  na        nf       rt     rt     rt     rt     rt     rt
start upload    na        nf       rt     rt     rt     rt     rt     rt
patch upload    na        nf       rt     rt     rt     rt     rt     rt
put upload      na        nf       rt     rt     rt     rt     rt     rt
mount within    na        nf       rt     rt     rt     rt     rt     rt
mount across    na        nf       rt     rt     rt     rt     rt     rt
mount closed    na        nf       rt     rt     rt     rt     rt     rt
new manifest    na        nf       rt     rt     rt     rt     rt     rt
overwrite       na        nf       rt     rt     rt     rt     rt     rt
move latest     na        nf       rt     rt     rt     rt     rt     rt
delete tag      na        nf       rt     rt     rt     rt     rt     rt
delete digest   na        nf       rt     rt     rt     rt     rt     rt
"""

_PROJECT_TRASHED = """
                anonymous outsider viewer reader editor author keeper token
HEAD manifest   na        nf       pt     pt     pt     pt     pt     pt
HEAD digest     na        nf       pt     pt     pt     pt     pt     pt
GET manifest    na        nf       pt     pt     pt     pt     pt     pt
HEAD blob       na        nf       pt     pt     pt     pt     pt     pt
GET blob        na        nf       pt     pt     pt     pt     pt     pt
list tags       na        nf       pt     pt     pt     pt     pt     pt
list catalog    na        -        -      -      -      -      -      -
list referrers  na        nf       pt     pt     pt     pt     pt     pt
start upload    na        nf       pt     pt     pt     pt     pt     pt
patch upload    na        nf       pt     pt     pt     pt     pt     pt
put upload      na        nf       pt     pt     pt     pt     pt     pt
mount within    na        nf       pt     pt     pt     pt     pt     pt
mount across    na        nf       pt     pt     pt     pt     pt     pt
mount closed    na        nf       pt     pt     pt     pt     pt     pt
new manifest    na        nf       pt     pt     pt     pt     pt     pt
overwrite       na        nf       pt     pt     pt     pt     pt     pt
move latest     na        nf       pt     pt     pt     pt     pt     pt
delete tag      na        nf       pt     pt     pt     pt     pt     pt
delete digest   na        nf       pt     pt     pt     pt     pt     pt
"""

_SUSPENDED = _PROJECT_TRASHED.replace("pt", "su")

# A subject that may create the repository gets the registry's own responses, which a client needs during a push.
# Any other subject learns only that the name does not exist or is not shared.
_REPOSITORY_ABSENT = """
                anonymous outsider viewer reader editor author keeper token
HEAD manifest   na        nf       nf     nf     nf     404    nf     nf
HEAD digest     na        nf       nf     nf     nf     404    nf     nf
GET manifest    na        nf       nf     nf     nf     404    nf     nf
HEAD blob       na        nf       nf     nf     nf     404    nf     nf
GET blob        na        nf       nf     nf     nf     404    nf     nf
list tags       na        nf       nf     nf     nf     404    nf     nf
list catalog    na        -        -      -      -      -      -      -
list referrers  na        nf       nf     nf     nf     ok     nf     nf
start upload    na        nf       lv     lv     nc     ok     nc     sc
patch upload    na        nf       lv     lv     nc     ok     nc     sc
put upload      na        nf       lv     lv     nc     ok     nc     sc
mount within    na        nf       lv     lv     nc     ok     nc     sc
mount across    na        nf       lv     lv     nc     ok     nc     sc
mount closed    na        nf       lv     lv     nc     ok     nc     sc
new manifest    na        nf       lv     lv     nc     ok     nc     sc
overwrite       na        nf       lv     lv     nc     ok     nc     sc
move latest     na        nf       lv     lv     nc     ok     nc     sc
delete tag      na        nf       nf     nf     nf     lv     nf     nf
delete digest   na        nf       nf     nf     nf     lv     nf     nf
"""

# Local sharing excludes all of them. The responses are those for an absent repository, except for its possible creator.
_HIDDEN = """
                anonymous outsider viewer reader editor author keeper token
HEAD manifest   na        nf       nf     nf     nf     nf     nf     nf
HEAD digest     na        nf       nf     nf     nf     nf     nf     nf
GET manifest    na        nf       nf     nf     nf     nf     nf     nf
HEAD blob       na        nf       nf     nf     nf     nf     nf     nf
GET blob        na        nf       nf     nf     nf     nf     nf     nf
list tags       na        nf       nf     nf     nf     nf     nf     nf
list catalog    na        -        -      -      -      -      -      -
list referrers  na        nf       nf     nf     nf     nf     nf     nf
start upload    na        nf       lv     lv     nc     nf     nc     sc
patch upload    na        nf       lv     lv     nc     nf     nc     sc
put upload      na        nf       lv     lv     nc     nf     nc     sc
mount within    na        nf       lv     lv     nc     nf     nc     sc
mount across    na        nf       lv     lv     nc     nf     nc     sc
mount closed    na        nf       lv     lv     nc     nf     nc     sc
new manifest    na        nf       lv     lv     nc     nf     nc     sc
overwrite       na        nf       lv     lv     nc     nf     nc     sc
move latest     na        nf       lv     lv     nc     nf     nc     sc
delete tag      na        nf       nf     nf     nf     lv     nf     nf
delete digest   na        nf       nf     nf     nf     lv     nf     nf
"""

_PROJECT_ABSENT = """
                anonymous outsider viewer reader editor author keeper token
HEAD manifest   na        nf       nf     nf     nf     nf     nf     nf
HEAD digest     na        nf       nf     nf     nf     nf     nf     nf
GET manifest    na        nf       nf     nf     nf     nf     nf     nf
HEAD blob       na        nf       nf     nf     nf     nf     nf     nf
GET blob        na        nf       nf     nf     nf     nf     nf     nf
list tags       na        nf       nf     nf     nf     nf     nf     nf
list catalog    na        -        -      -      -      -      -      -
list referrers  na        nf       nf     nf     nf     nf     nf     nf
start upload    na        nf       nf     nf     nf     nf     nf     nf
patch upload    na        nf       nf     nf     nf     nf     nf     nf
put upload      na        nf       nf     nf     nf     nf     nf     nf
mount within    na        nf       nf     nf     nf     nf     nf     nf
mount across    na        nf       nf     nf     nf     nf     nf     nf
mount closed    na        nf       nf     nf     nf     nf     nf     nf
new manifest    na        nf       nf     nf     nf     nf     nf     nf
overwrite       na        nf       nf     nf     nf     nf     nf     nf
move latest     na        nf       nf     nf     nf     nf     nf     nf
delete tag      na        nf       nf     nf     nf     nf     nf     nf
delete digest   na        nf       nf     nf     nf     nf     nf     nf
"""

SENTENCES: Final[Mapping[str, str]] = {
    "na": "You are not logged in, and {name} is not public; log in (docker login) and try again.",
    "nf": "{name} does not exist or is not shared with {who}; check the name, or ask someone with Administer on "
    "project {project} for access.",
    "lv": "{who} has {have} on {name}, and {action} needs {need}; ask someone with Administer on project {project} "
    "for {need}.",
    "nc": "{who} may edit {name} but is not certified to push; ask your registry administrators for a Certification.",
    "sc": "The token of {who} lacks the scope modify, which {action} on {name} needs; use a token that has it.",
    "rt": "{name} is in the trash, where every request is refused; "
    "ask someone with EditAndDelete on project {project} to restore it.",
    "pt": "Project {project} is in the trash, where every request is refused; "
    "ask someone with Administer to restore it.",
    "su": "Project {project} is suspended and its registry is stopped; ask someone with Administer to resume it.",
}
"""What a refusal says, by its cell, word for word."""


def _read(text: str) -> Mapping[tuple[str, str], str]:
    header, *rows = text.strip("\n").split("\n")
    assert tuple(header.split()) == SUBJECTS, header
    cells: dict[tuple[str, str], str] = {}
    for row in rows:
        operation, columns = row[:16].strip(), row[16:].split()
        assert len(columns) == len(SUBJECTS), row
        cells.update({(operation, subject): cell for subject, cell in zip(SUBJECTS, columns, strict=True)})
    return cells


TABLES: Final[Mapping[str, Mapping[tuple[str, str], str]]] = {
    "active": _read(_ACTIVE),
    "repository trashed": _read(_REPOSITORY_TRASHED),
    "project trashed": _read(_PROJECT_TRASHED),
    "project suspended": _read(_SUSPENDED),
    "repository absent": _read(_REPOSITORY_ABSENT),
    "repository hidden": _read(_HIDDEN),
    "project absent": _read(_PROJECT_ABSENT),
}
"""By state: what happens, by operation and subject."""
