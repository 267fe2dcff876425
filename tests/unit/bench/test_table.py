"""The table of the benchmarks: verdicts, and the page that it is written into."""

from __future__ import annotations

import pytest

from bench.names_server import reply
from bench.table import BEGIN, END, Machine, Row, Verdict, at_least, at_most, failed, markdown, missed, plain, put_into

MACHINE = Machine("A | B", 2, 7.8, "6.1", "3.11.7", 0.25, "2026-11-24 12:40 UTC")


def test_a_target_is_met_at_its_limit_and_missed_beyond_it() -> None:
    assert [at_most("a", 4, found).verdict for found in (3.9, 4.0, 4.01)] == ["ok", "ok", "missed"]
    assert [at_least("a", 1, found).verdict for found in (1.1, 1.0, 0.99)] == ["ok", "ok", "missed"]


def test_a_row_says_target_and_figure_in_the_same_unit() -> None:
    row = at_most("help", 300, 151.6, unit="ms", digits=0)
    assert (row.target, row.measured) == ("≤ 300 ms", "152 ms")
    assert at_least("blobs", 1.0, 1.234).target == "≥ 1x"


def test_a_failed_measurement_is_a_row_with_the_first_line_of_the_error() -> None:
    row = failed("pull", RuntimeError("no answer\nsecond line"))
    assert (row.verdict, row.figures) == (Verdict.FAILED, "RuntimeError: no answer")
    assert failed("pull", TimeoutError()).figures == "TimeoutError: "


def test_missed_and_failed_rows_are_those_that_a_strict_run_ends_with() -> None:
    rows = [at_most("a", 1, 2), at_most("b", 1, 0.5), failed("c", RuntimeError("x")), Row("d", "–", "1", Verdict.INFO)]
    assert [row.what for row in missed(rows)] == ["a", "c"]


def test_the_page_keeps_the_text_around_the_table() -> None:
    page = f"# Title\n\n{BEGIN}\nold\n{END}\n\nAfter.\n"
    written = put_into(page, markdown([at_most("a|b", 1, 2, figures="c")], MACHINE))
    assert written.startswith("# Title\n\n" + BEGIN)
    assert written.endswith(END + "\n\nAfter.\n")
    assert "old" not in written
    assert r"| a\|b | ≤ 1x | 2.00x | missed | c |" in written
    assert "Measured 2026-11-24 12:40 UTC on A | B, 2 cores, 8 GiB, Linux 6.1, Python 3.11.7" in written
    assert put_into(written, markdown([], MACHINE)).count(BEGIN) == 1


@pytest.mark.parametrize("page", ["no marker", BEGIN, f"{END} {BEGIN}"])
def test_a_page_without_both_markers_is_refused(page: str) -> None:
    with pytest.raises(ValueError, match="lacks the lines"):
        put_into(page, "table")


def test_the_table_for_a_terminal_is_in_columns_with_the_figures_below() -> None:
    text = plain([at_most("short", 1, 0.5, figures="one"), at_most("much longer", 10, 20)])
    first, second, *_ = text.splitlines()
    assert second.index("≤") == first.index("target")
    assert text.splitlines()[-1] == "short: one"


def test_the_names_server_returns_the_address_for_type_a_alone() -> None:
    name = b"\x08registry\x05local\x00"
    for kind, answers in ((1, 1), (28, 0)):
        question = b"\x12\x34\x01\x00\x00\x01" + bytes(6) + name + bytes([0, kind, 0, 1])
        answer = reply(question, bytes([127, 1, 2, 3]))
        assert answer[:2] == b"\x12\x34"
        assert answer[6:8] == bytes([0, answers])
        assert answer.endswith(bytes([127, 1, 2, 3])) is bool(answers)
