# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The application's ``.env``, read by the rules of vlucas/phpdotenv 5, which Laravel uses.

- A line is a comment when ``#`` is its first character. Of ``NAME=value``, with ``export`` before the name or quotes
  around it, the last one counts. A name alone unsets it.
- Without quotes a value ends at white space or ``#``; after it only a comment may follow. In single quotes all is
  literal. In double quotes a backslash escapes a double quote, a backslash, ``$``, ``f``, ``n``, ``r``, ``t``, ``v``
  and nothing else, and lines may break.
- ``${NAME}`` outside of single quotes is replaced by what is known of that name, else it stays.

Anything else the application itself would refuse to start with. Errors tell the line and never what stands there.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import re
import typing as t

_SPACE = r"[ \t\n\r\v\f]"
# PHP's trim.
_TRIMMED = " \t\n\r\0\v"
_TAIL = rf"{_SPACE}*(?:#.*)?"
_SINGLE = re.compile(rf"'(?P<body>[^']*)'{_TAIL}", re.DOTALL)
_DOUBLE = re.compile(rf'"(?P<body>(?:[^"\\]|\\["\\$fnrtv])*)"{_TAIL}', re.DOTALL)
_PLAIN = re.compile(rf"(?P<body>[^ \t\n\r\v\f#]*){_TAIL}", re.DOTALL)
_PIECE = re.compile(r"\\(?P<escaped>.)|(?P<variable>\$)|(?P<text>[^\\$]+)", re.DOTALL)
_ESCAPES = {"f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_NAME = re.compile(r"[A-Za-z0-9_.]+")
_REFERENCE = re.compile(r"\$\{([A-Za-z0-9_.]+)\}")
_CLOSING = re.compile(r'(?=[^\\]")')


class DotenvError(ValueError):
    """The text is no ``.env`` that the application could read; the message names the line only."""


def parse(text: str) -> dict[str, str]:
    """Return every name with its value; raise DotenvError for what the application refuses."""
    values: dict[str, str] = {}
    for number, entry in _entries(text[1:] if text.startswith("\ufeff") else text):
        raw_name, separator, raw_value = entry.partition("=")
        name = _name(raw_name.strip(_TRIMMED) if separator else raw_name, number)
        if separator:
            values[name] = _value(raw_value.strip(_TRIMMED), values, number)
        else:
            values.pop(name, None)
    return values


def _entries(text: str) -> t.Iterator[tuple[int, str]]:
    """Each entry with the number of its first line; lines are joined while a double quote is open."""
    open_lines: list[str] = []
    first = 0
    for number, line in enumerate(re.split(r"\r\n|\n|\r", text), start=1):
        starts = '="' in line and not _closes(line, 2)
        if starts or open_lines:
            first = first if open_lines else number
            open_lines.append(line)
            if not _closes(line, 2 if starts else 1):
                continue
        entry = "\n".join(open_lines) if open_lines else line
        start = first if open_lines else number
        open_lines = []
        if entry.strip(_TRIMMED) and not entry.strip(_TRIMMED).startswith("#"):
            yield start, entry
    if open_lines:
        # The application would leave it out silently; nothing here may.
        raise DotenvError(f"line {first}: a double quote is not closed")


def _closes(line: str, quotes: int) -> bool:
    return line == '"' or len(_CLOSING.findall(line.replace("\\\\", ""))) >= quotes


def _name(text: str, number: int) -> str:
    if len(text) > 8 and re.match(rf"export{_SPACE}", text):
        text = text[6:].lstrip(_TRIMMED)
    if len(text) > 2 and text[0] == text[-1] and text[0] in "'\"":
        text = text[1:-1]
    if not _NAME.fullmatch(text):
        raise DotenvError(f"line {number}: what stands before the equals sign is no name")
    return text


def _value(text: str, known: t.Mapping[str, str], number: int) -> str:
    form = {"'": _SINGLE, '"': _DOUBLE}.get(text[:1], _PLAIN)
    match = form.fullmatch(text)
    if match is None or text.startswith("\f"):
        raise DotenvError(f"line {number}: an open quote, an unknown escape, or white space without quotes")
    body = match["body"]
    if form is _SINGLE:
        return body
    if form is _PLAIN:
        return _resolve(body, [position for position, each in enumerate(body) if each == "$"], known)
    plain = ""
    variables = []
    for piece in _PIECE.finditer(body):
        if piece["variable"]:
            variables.append(len(plain))
        escaped = piece["escaped"]
        plain += _ESCAPES.get(escaped, escaped) if escaped else piece[0]
    return _resolve(plain, variables, known)


def _resolve(text: str, variables: t.Sequence[int], known: t.Mapping[str, str]) -> str:
    for position in reversed(variables):
        match = _REFERENCE.match(text, position)
        if match is not None and match[1] in known:
            text = text[:position] + known[match[1]] + text[match.end() :]
    return text


__all__ = ("DotenvError", "parse")
