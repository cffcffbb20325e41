# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The promises that CONTRIBUTING.md, README.md and TESTING.md make about the files."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MAX_LINES = 400
# In two parts, or the licence checker would read it as this file's own.
LICENCE = "SPDX-License-" + "Identifier: GPL-3.0-or-later"
CODE = {".py", ".yml", ".yaml", ".sh", ".toml", ".cfg", ".sql"}
GENERATED = "changelogs/changelog.yaml"


def _code(files: list[Path]) -> Iterator[tuple[Path, str]]:
    for path in files:
        if path.is_symlink() or str(path).endswith(GENERATED):
            continue
        if path.suffix in CODE or path.name == "Makefile" or (not path.suffix and path.read_bytes()[:2] == b"#!"):
            yield path, path.read_text(encoding="utf-8")


def _defined_tests(path: Path) -> set[str]:
    names = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.ClassDef):
            names |= {f"{node.name}::{item.name}" for item in node.body if isinstance(item, ast.FunctionDef)}
    return names


def _faults(top: Path) -> list[list[str]]:
    table = (top / "TESTING.md").read_text(encoding="utf-8").split("| fault | test |", 1)[1]
    rows = [line for line in table.splitlines()[2:] if line.startswith("|")]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]


def test_there_are_no_symbolic_links(files: list[Path]) -> None:
    assert files
    assert [path for path in files if path.is_symlink()] == []


def test_every_source_file_says_its_licence(files: list[Path]) -> None:
    missing = [path for path, text in _code(files) if text and LICENCE not in text[:700]]
    assert missing == []


def test_no_source_file_is_too_long(files: list[Path]) -> None:
    lengths = {path: text.count("\n") for path, text in _code(files)}
    assert {path: lines for path, lines in lengths.items() if lines > MAX_LINES} == {}


def test_the_documents_name_only_targets_that_exist(top: Path, files: list[Path]) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (top / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = {
        (path.name, target)
        for path in files
        if path.suffix == ".md"
        for target in re.findall(r"(?:`|^)(?:\w+=\S+ )?make ([a-z-]+)", path.read_text(encoding="utf-8"), re.MULTILINE)
    }
    assert {target for _path, target in named} >= {"demo", "test"}
    assert [(path, target) for path, target in sorted(named) if target not in targets] == []


def test_every_fault_names_a_test_that_exists(top: Path, collection: Path) -> None:
    faults = _faults(top)
    assert faults
    wrong = []
    for fault, tests, _proves in faults:
        named = re.findall(r"`([^`:]+\.py)::([\w:]+)(?:\[[^`]*\])?`", tests)
        if not named:
            wrong.append(f"{fault}: no test")
        for place, name in named:
            path = next((base / place for base in (top, collection) if (base / place).is_file()), None)
            if path is None or name not in _defined_tests(path):
                wrong.append(f"{fault}: {place}::{name} does not exist")
    assert wrong == []


def test_every_fault_says_what_its_test_proves(top: Path) -> None:
    assert [row[0] for row in _faults(top) if len(row) != 3 or not row[2]] == []


def test_the_action_group_holds_every_module(collection: Path) -> None:
    runtime = yaml.safe_load((collection / "meta/runtime.yml").read_text(encoding="utf-8"))
    modules = sorted(path.stem for path in (collection / "plugins/modules").glob("*.py") if path.stem != "__init__")
    assert runtime["action_groups"]["all"] == modules


def test_collection_and_runner_have_one_version(top: Path, collection: Path) -> None:
    galaxy = yaml.safe_load((collection / "galaxy.yml").read_text(encoding="utf-8"))
    runner = (top / "runner/src/larapee_runner/__init__.py").read_text(encoding="utf-8")
    assert re.findall(r'^__version__ = "([^"]+)"', runner, re.MULTILINE) == [galaxy["version"]]
