# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tables of docs/runbook.md, compared with the code: every reason has its advice, every quotation its source."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest
import yaml

from larapee_runner.outcome import ExitCode
from larapee_runner.recorder import RunRecord
from tests.docs.pages import DOCS, TOP, code, table, tables

PAGE = DOCS / "runbook.md"
COLLECTION = TOP / "collection/ansible_collections/larapee/backup"
RECORDER = COLLECTION / "plugins/plugin_utils/_recorder"
FAILURES = ("BackupError", "_refusal", "_unusable", "__init__", "fail_json")
REASONS = "| `error` has | `reason` |"


def _reason_rows() -> list[list[str]]:
    return [row for rows in tables(PAGE, REASONS) for row in rows]


def _text(node: ast.AST) -> str:
    """What a string of the source says, with ``{}`` for what is filled in."""
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(part) for part in node.values)
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else ""
    return "{}" if isinstance(node, ast.FormattedValue) else ""


@cache
def _strings(path: Path) -> list[str]:
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    return [_text(node) for node in nodes if isinstance(node, (ast.JoinedStr, ast.Constant))]


@cache
def _messages() -> dict[str, list[str]]:
    """Each reason that modules give, with the strings of the calls that give it."""
    found: dict[str, list[str]] = {}
    for path in sorted((COLLECTION / "plugins").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or ast.unparse(node.func).rpartition(".")[2] not in FAILURES:
                continue
            given = [keyword.value for keyword in node.keywords if keyword.arg == "reason"]
            each_of_them = [each.value for value in given for each in ast.walk(value) if isinstance(each, ast.Constant)]
            words = [word for word in each_of_them if isinstance(word, str)]
            for word in words:
                texts = [_text(each) for each in ast.walk(node) if isinstance(each, (ast.JoinedStr, ast.Constant))]
                found.setdefault(word, []).extend(texts)
    return found


def test_every_reason_has_its_advice_and_no_other_is_named() -> None:
    assert len(_messages()) > 30
    documented = {word for row in _reason_rows() for word in code(row[1])}
    assert documented == set(_messages())


def test_what_an_error_is_said_to_have_it_has() -> None:
    everywhere = [text for path in (COLLECTION / "plugins/module_utils").rglob("*.py") for text in _strings(path)]
    wrong = []
    for row in _reason_rows():
        (quoted,) = code(row[0])
        for word in code(row[1]):
            known = _messages()[word] + [text for text in everywhere if word in ("not_verified", "incomplete_set")]
            stage, ended, rest = quoted.partition(" ended with status")
            if word == "stage_failed" and ended and not rest:
                # Put together from the name of the stage.
                known += [quoted] if stage in everywhere else []
            if not any(quoted in text for text in known):
                wrong.append((quoted, word))
    assert wrong == []


def test_errors_without_a_reason_are_quoted_as_they_are() -> None:
    places = [*RECORDER.glob("*.py"), RECORDER.parent / "_missed_runs.py", TOP / "runner/src/larapee_runner/outcome.py"]
    known = [text for path in places for text in _strings(path)]
    guard = COLLECTION / "roles/guard"
    for path in (guard / "vars/main.yml", guard / "tasks/close.yml"):
        known.append(re.sub(r"\s+", " ", yaml.safe_dump(yaml.safe_load(path.read_text()), width=10_000)))
    quotes = [text for row in table(PAGE, "| `error` | do |") for text in code(row[0])]
    assert len(quotes) > 10
    assert [quote for quote in quotes if not any(quote in text for text in known)] == []


def test_exit_codes_are_those_of_the_command() -> None:
    assert [int(row[0]) for row in table(PAGE, "| code |")] == [int(each) for each in ExitCode]


def test_columns_are_those_of_a_row() -> None:
    named = {name for row in table(PAGE, "| column |") for name in code(row[0])}
    assert named <= set(RunRecord.__dataclass_fields__)


@pytest.mark.parametrize("page", ["docs/runbook.md", "README.md"])
def test_variables_are_those_that_roles_take(page: str) -> None:
    specs = [yaml.safe_load(path.read_text()) for path in COLLECTION.glob("roles/*/meta/argument_specs.yml")]
    taken = {name for spec in specs for entry in spec["argument_specs"].values() for name in entry.get("options", {})}
    named = set(re.findall(r"\blarapee_backup_[a-z_]+\b", (TOP / page).read_text(encoding="utf-8")))
    assert named
    assert named - taken - {"larapee_backup_unfinished_restore"} == set()
