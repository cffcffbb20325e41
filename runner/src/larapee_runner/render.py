# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What people see: coloured tables on a terminal, plain aligned text everywhere else."""

from __future__ import annotations

import json
import os
import sys
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from .recorder import RunRecord

STYLES = {
    "success": "green",
    "ok": "green",
    "OK": "green",
    "failed": "bold red",
    "broken": "bold red",
    "FAIL": "bold red",
    "WARN": "yellow",
    "pending": "yellow",
    "not_run": "yellow",
    "NOT RUN": "yellow",
}
STATE_WORDS = {"ok": "OK", "broken": "BROKEN", "not_run": "NOT RUN"}
UNITS = ("B", "KiB", "MiB", "GiB", "TiB")
KIBI = 1024
MINUTE, HOUR, DAY = 60, 3600, 86400


@dataclass(frozen=True)
class Cell:
    text: str
    style: str = ""


@dataclass(frozen=True)
class Table:
    title: str
    columns: tuple[str, ...]
    rows: Sequence[Sequence[Cell | str]]


def is_terminal(stream: TextIO) -> bool:
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def write_line(text: str = "", *, stream: TextIO | None = None) -> None:
    stream = stream or sys.stdout
    stream.write(f"{text}\n")
    stream.flush()


def write_json(document: Any) -> None:
    """Print the one document of a --json command."""
    write_line(json.dumps(document, indent=2, ensure_ascii=False))


def show(table: Table) -> None:
    """Print a table to standard output."""
    if is_terminal(sys.stdout):
        _show_rich(table)
        return
    write_line(table.title)
    cells = [list(table.columns), *([clean(_text(cell)) for cell in row] for row in table.rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(table.columns))]
    for row in cells:
        write_line("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())


def status_cell(word: str) -> Cell:
    return Cell(STATE_WORDS.get(word, word), STYLES.get(word, ""))


def clean(text: str) -> str:
    """Take control characters out: what a module or a database said must not steer the terminal."""
    return "".join(" " if unicodedata.category(character) in ("Cc", "Cf", "Cs") else character for character in text)


def size(number: int | None) -> str:
    if number is None:
        return "-"
    value = float(number)
    for unit in UNITS:
        if value < KIBI or unit == UNITS[-1]:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= KIBI
    return "-"


def outcome(row: RunRecord) -> tuple[str, str]:
    """Size and recovery point; none of a run that failed, whose row may still name what was there before it."""
    return ("-", "-") if row.status == "failed" else (size(row.bytes), row.recovery_point or "-")


def span(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    if seconds < MINUTE:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    if seconds < HOUR:
        return f"{seconds // MINUTE:.0f} min {seconds % MINUTE:.0f} s"
    if seconds < 2 * DAY:
        return f"{seconds // HOUR:.0f} h {seconds % HOUR // MINUTE:.0f} min"
    return f"{seconds // DAY:.0f} d {seconds % DAY // HOUR:.0f} h"


def moment(time: datetime | None) -> str:
    return "-" if time is None else f"{time:%Y-%m-%d %H:%M:%S}"


def _text(cell: Cell | str) -> str:
    return cell if isinstance(cell, str) else cell.text


def _show_rich(table: Table) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table as RichTable
    from rich.text import Text

    drawn = RichTable(title=table.title, title_justify="left", title_style="bold", box=SIMPLE_HEAD, pad_edge=False)
    for column in table.columns:
        drawn.add_column(column, overflow="fold")
    for row in table.rows:
        drawn.add_row(*(Text(clean(_text(cell)), style="" if isinstance(cell, str) else cell.style) for cell in row))
    Console(highlight=False).print(drawn)


__all__ = (
    "Cell",
    "Table",
    "clean",
    "is_terminal",
    "moment",
    "outcome",
    "show",
    "size",
    "span",
    "status_cell",
    "write_json",
    "write_line",
)
