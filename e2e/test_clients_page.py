"""The page about clients says what the other tests hold."""

from __future__ import annotations

from e2e.suite.clients import CLIENTS
from e2e.suite.clients.page import renewed
from e2e.suite.clients.reasons import REASONS
from e2e.suite.world import ROOT

PAGE = (ROOT / "docs" / "clients.md").read_text()


def test_the_page_has_the_templates_of_the_table() -> None:
    assert renewed(PAGE) == PAGE, "run make generate"


def test_every_client_shows_the_sentence_of_a_refused_pull_and_push() -> None:
    for client in CLIENTS:
        templates = [client.refusals.pull, *filter(None, (client.refusals.push, client.refusals.manifest))]
        assert all("{sentence}" in template for template in templates), client.name


def test_no_two_reasons_have_one_name() -> None:
    names = [reason.name for reason in REASONS]
    assert len(set(names)) == len(names)
