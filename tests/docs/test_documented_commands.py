# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""README.md and docs/runbook.md, executed in order on a machine of their own: a branch is deployed, then operated."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from typing import TYPE_CHECKING

import pytest

from larapee_runner.cli import COMMANDS
from larapee_runner.recorder import open_store
from tests.database.estate import DATABASE, sql, stock_picture
from tests.docs.pages import DOCS, TOP, blocks, code
from tests.docs.world import World

if TYPE_CHECKING:
    from pathlib import Path

    from larapee_runner.demo.server import ThrowawayServer
    from larapee_runner.recorder import RunRecord
    from tests.database.estate import Keys
    from tests.docs.pages import Block

README = TOP / "README.md"
# As the README writes them into the option files.
OPERATOR_PASSWORD = "a long random password"
BINLOG_PASSWORD = "another long random password"
RUNBOOK = DOCS / "runbook.md"
COMMAND_LANGUAGES = ("bash", "console", "sh", "shell")
FILE_LANGUAGES = ("ini", "yaml")
NO_COMMANDS = ("mermaid", "text")

# The runbook is for a branch that was deployed as the README says: both run on one machine, in this order.
pytestmark = pytest.mark.xdist_group("documented commands")


@pytest.fixture(scope="module")
def world(
    source: ThrowawayServer, target: ThrowawayServer, keys: Keys, tmp_path_factory: pytest.TempPathFactory
) -> World:
    return World(tmp_path_factory.mktemp("world"), source=source, target=target, keys=keys)


class Deployed:
    """What became of the README, and the machine that it left."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.output = follow(README, world)


@pytest.fixture(scope="module")
def deployed(world: World) -> Deployed:
    return Deployed(world)


def follow(page: Path, world: World) -> str:
    """Do what the page's blocks say, from top to bottom; return what the commands print."""
    found = blocks(page)
    fences = re.findall(r"^ *```", page.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(fences) == 2 * len(found), f"{page.name} has a fenced block without a language"
    output = ""
    for block in found:
        place = f"{page.name}:{block.line}"
        if "/srv/copy" in block.text:
            world.copy_for_the_restorer()
        if block.language in COMMAND_LANGUAGES:
            commands = only_what_runs_here(block, place=place)
            done = world.run(commands)
            assert done.returncode == 0, f"{place} ended with {done.returncode}\n{commands}\n{done.stdout}{done.stderr}"
            output += done.stdout
        elif block.language == "sql":
            sql(world.source, block.text)
        elif block.language == "cron":
            for line in block.text.splitlines():
                # Five fields, the account, and what cron hands to a shell in that account's home.
                done = world.run(f"cd /\n{line.split(maxsplit=6)[6]}")
                assert done.returncode == 0, f"{place}\n{line}\n{done.stdout}{done.stderr}"
        elif block.language in FILE_LANGUAGES:
            world.write(file_named_before(block, world, place=place), block.text)
        else:
            assert block.language in NO_COMMANDS, f"{place}: nothing is known of blocks of {block.language}"
    return output


def only_what_runs_here(block: Block, *, place: str) -> str:
    """Without the lines that install packages or start the demo and the tests; those must name what exists."""
    kept = []
    for line in re.sub(r"\\\n\s*", "", block.text).splitlines():
        words = line.removeprefix("$ ").split()
        if words[:1] == ["make"]:
            targets = re.findall(r"^([a-z-]+):", (TOP / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
            assert len(words) == 2, f"{place}: {line}"
            assert words[1] in targets, f"{place}: {line}"
        elif words[:1] == ["scripts/make-venv"]:
            assert os.access(TOP / words[0], os.X_OK), f"{place}: {line}"
        elif words[:1] != ["apt-get"] and words[:2] != ["git", "clone"]:
            kept.append(line.removeprefix("$ "))
    return "\n".join(kept)


def file_named_before(block: Block, world: World, *, place: str) -> Path:
    named = [text for text in code(block.before) if re.fullmatch(r"[\w./-]+\.(cnf|cfg|yml)", text)]
    assert named, f"{place}: no file is named before it"
    return world.path(named[-1]) if named[-1].startswith("/") else world.checkout / named[-1]


def rows(world: World) -> list[RunRecord]:
    url = world.mapped("sqlite:////var/lib/larapee-backup/runs.sqlite")
    with contextlib.closing(open_store(url)) as store:
        return store.query()


def test_the_readme_deploys_a_branch_and_restores_it(deployed: Deployed) -> None:
    world = deployed.world
    left = {(row.kind, row.status, row.launcher) for row in rows(world)}
    assert left == {
        ("full", "success", "ansible-playbook"),
        ("restore", "success", "ansible-playbook"),
        *((kind, "success", "cli") for kind in ("full", "log", "increment", "verify", "retention")),
    }
    assert "verify" in deployed.output
    assert stock_picture(world.target) == stock_picture(world.source)


def test_the_runbook_operates_it(deployed: Deployed) -> None:
    world = deployed.world
    before = {row.run_id for row in rows(world)}
    sql(world.target, f"DROP DATABASE {DATABASE}")
    for name in ("uploads", "config"):
        shutil.rmtree(world.path(f"/srv/restored-{name}"))
    output = follow(RUNBOOK, world)
    done = [(row.kind, row.status, row.check_mode) for row in reversed(rows(world)) if row.run_id not in before]
    assert done == [
        ("full", "success", False),
        ("increment", "success", False),
        ("log", "success", False),
        ("verify", "success", False),
        ("retention", "success", True),
        *[("retention", "success", False)] * 5,
        ("sync", "success", True),
        ("sync", "success", False),
        ("restore", "success", True),
        ("restore", "success", False),
        ("restore", "success", False),
        # The shop is declared open.
        ("restore", "success", False),
    ]
    for word in ("artifact", "recovery_point", "lost", "server", "replaces"):
        assert f'"{word}": ' in output
    assert stock_picture(world.target) == stock_picture(world.source)


def test_no_secret_was_left_on_the_machine(deployed: Deployed) -> None:
    """After a backup, a verification and a restore: not in any file but those that are made to hold them."""
    world = deployed.world
    identity = world.keys.identity.split("AGE-SECRET-KEY-")[1].split()[0]
    homes = {identity: "media/key/identity.txt", BINLOG_PASSWORD: "etc/larapee-backup/binlog.cnf"}
    homes[f'"{OPERATOR_PASSWORD}'] = "etc/larapee-backup/operator.cnf"
    files = [path for path in world.root.rglob("*") if path.is_file() and not path.is_symlink()]
    files += [path for path in world.target.directory.rglob("*") if path.is_file()]
    assert len(files) > 50
    for secret, home in homes.items():
        assert [path for path in files if secret.encode() in path.read_bytes()] == [world.root / home]


@pytest.mark.parametrize("page", [README, *sorted(DOCS.glob("*.md"))], ids=lambda page: str(page.relative_to(TOP)))
def test_every_command_that_a_page_mentions_exists(page: Path) -> None:
    words = re.findall(r"\blarapee-backup ([a-z]+)\b", page.read_text(encoding="utf-8"))
    assert [word for word in words if word not in COMMANDS] == []
