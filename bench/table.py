"""The table of measurements: rows, their verdicts, and the page that they are written into. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

BEGIN: Final = "<!-- begin: written by make bench -->"
END: Final = "<!-- end: written by make bench -->"


class Verdict(StrEnum):
    """Whether a target was met."""

    OK = "ok"
    MISSED = "missed"
    INFO = "info"  # there is no target; the figure is for comparison
    FAILED = "failed"  # it could not be measured


@dataclass(frozen=True, slots=True)
class Row:
    """One measurement: what, which target, what was found and from which figures."""

    what: str
    target: str
    measured: str
    verdict: Verdict
    figures: str = ""


@dataclass(frozen=True, slots=True)
class Machine:
    """What was measured on, and when."""

    processor: str
    cores: int
    memory_gib: float
    kernel: str
    python: str
    load: float  # of the last minute when measuring began; more than a core means that others were at work
    at: str


def at_most(what: str, limit: float, found: float, *, unit: str = "x", digits: int = 2, figures: str = "") -> Row:
    """A row that is ok when `found` is no more than `limit`."""
    verdict = Verdict.OK if found <= limit else Verdict.MISSED
    return Row(what, f"≤ {limit:g}{_unit(unit)}", f"{found:.{digits}f}{_unit(unit)}", verdict, figures)


def at_least(what: str, limit: float, found: float, *, unit: str = "x", digits: int = 2, figures: str = "") -> Row:
    """A row that is ok when `found` is no less than `limit`."""
    verdict = Verdict.OK if found >= limit else Verdict.MISSED
    return Row(what, f"≥ {limit:g}{_unit(unit)}", f"{found:.{digits}f}{_unit(unit)}", verdict, figures)


def info(what: str, measured: str, figures: str = "") -> Row:
    """A row without a target."""
    return Row(what, "–", measured, Verdict.INFO, figures)


def failed(what: str, error: BaseException) -> Row:
    """A row for what could not be measured, with the first line of the reason."""
    reason = (str(error).strip().splitlines() or [""])[0]
    return Row(what, "–", "not measured", Verdict.FAILED, f"{type(error).__name__}: {reason}"[:200])


def plain(rows: Sequence[Row]) -> str:
    """The table for a terminal."""
    cells = [("what", "target", "measured", ""), *((row.what, row.target, row.measured, row.verdict) for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(3)]
    lines = [
        "  ".join([*(cell.ljust(width) for cell, width in zip(line, widths, strict=False)), line[3]]) for line in cells
    ]
    notes = [f"{row.what}: {row.figures}" for row in rows if row.figures]
    return "\n".join([*(line.rstrip() for line in lines), "", *notes]) + "\n"


def markdown(rows: Sequence[Row], machine: Machine) -> str:
    """The generated part of the page, markers included."""
    lines = [
        BEGIN,
        "",
        f"Measured {machine.at} on {machine.processor}, {machine.cores} cores, {machine.memory_gib:.0f} GiB, "
        f"Linux {machine.kernel}, Python {machine.python}; load average at the start {machine.load:.1f}.",
        "",
        "| what | target | measured | | figures |",
        "| --- | --- | --- | --- | --- |",
        *(_line(row) for row in rows),
        "",
        END,
    ]
    return "\n".join(lines)


def put_into(page: str, part: str) -> str:
    """The page with its generated part replaced. Raises ValueError for a page that lacks a marker."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the page lacks the lines {BEGIN} and {END}; put them back where the table belongs")
    return before + part + after


def missed(rows: Iterable[Row]) -> list[Row]:
    """Rows whose target was not met, or that were not measured."""
    return [row for row in rows if row.verdict in (Verdict.MISSED, Verdict.FAILED)]


def _line(row: Row) -> str:
    return (
        "| " + " | ".join(_cell(text) for text in (row.what, row.target, row.measured, row.verdict, row.figures)) + " |"
    )


def _cell(text: str) -> str:
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("\n", " ")


def _unit(unit: str) -> str:
    return unit if unit in ("", "x") else f" {unit}"
