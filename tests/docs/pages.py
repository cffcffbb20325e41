# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading the pages that tests execute or compare."""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
DOCS = TOP / "docs"

_BLOCK = re.compile(r"^(?P<indent> *)```(?P<language>[\w-]+)\n(?P<text>.*?)^(?P=indent)```$", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"`([^`]+)`")


@dataclass(frozen=True)
class Block:
    """A fenced block; ``line`` is where it begins, ``before`` the text between the block before it and this one."""

    language: str
    text: str
    line: int
    before: str


def blocks(page: Path, *languages: str) -> list[Block]:
    """The fenced blocks of *page*, in order, of these languages (of every one when none is named)."""
    text = page.read_text(encoding="utf-8")
    found = []
    end = 0
    for match in _BLOCK.finditer(text):
        indent = match["indent"]
        lines = [line.removeprefix(indent) for line in match["text"].splitlines(keepends=True)]
        line = text.count("\n", 0, match.start()) + 1
        found.append(Block(match["language"], "".join(lines), line, text[end : match.start()]))
        end = match.end()
    return [block for block in found if not languages or block.language in languages]


def tables(page: Path, header: str) -> list[list[list[str]]]:
    """The cells of the rows of each table whose first line begins with *header*."""
    lines = page.read_text(encoding="utf-8").splitlines()
    found = []
    for number, line in enumerate(lines):
        if line.startswith(header):
            rows = list(itertools.takewhile(lambda each: each.startswith("|"), lines[number + 2 :]))
            found.append([[cell.strip() for cell in row.strip("|").split("|")] for row in rows])
    assert found, f"{page.name} has no table that begins with {header!r}"
    assert all(found), f"a table {header!r} of {page.name} is empty"
    return found


def table(page: Path, header: str) -> list[list[str]]:
    """The rows of the first of those tables."""
    return tables(page, header)[0]


def code(cell: str) -> list[str]:
    """What stands between backticks in *cell*."""
    return _CODE.findall(cell)


__all__ = ("DOCS", "TOP", "Block", "blocks", "code", "table", "tables")
