# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What no part of the project may hand out: rights to become root, programs that do, writable code of root."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[2]
# What is put onto hosts, or says how; tests and pages may talk of it.
SHIPPED = ("collection/ansible_collections/larapee/backup", "playbooks", "roles", "runner/src", "inventories")
# People start these, with rights of their own; no timer does.
BY_PEOPLE = {"branch_prepare.yml", "central_prepare.yml", "staging_prepare.yml", "enrol.yml", "rotate_keys.yml"}
BECOMING = "becoming another account by sudo"
FORBIDDEN = {
    "rights for sudo, doas or polkit": r"sudoers|NOPASSWD|doas\.conf|/etc/polkit|polkit-1",
    BECOMING: r"^\s*-?\s*become(_user|_method)?\s*:(?!\s*false\b)|\bsudo\b",
    "a program that runs as its owner": r"mode:\s*[\"']?0?[4-7][0-7]{3}\b|\b[ug]\+s\b|setcap\b",
    "a group that is as good as root": r"groups?:\s*[\"'\[]?\s*(docker|sudo|wheel|adm|disk|shadow|lxd)\b",
    "root by ssh": r"PermitRootLogin\s+(yes|prohibit-password|without-password)",
    "host keys that are not checked": r"StrictHostKeyChecking[= ](no|off|accept-new)|UserKnownHostsFile[= ]/dev/null",
    "certificates that are not checked": r"verify\s*=\s*False|CERT_NONE\s*#|--no-verify-ssl|InsecureSkipVerify",
}


def shipped() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", *SHIPPED],
        cwd=TOP,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    paths = [TOP / name for name in listed.split("\0") if name]
    return [path for path in paths if "/tests/" not in str(path) and path.suffix != ".md" and path.is_file()]


def found(text: str, pattern: str) -> list[str]:
    """Lines that do it; a comment that only speaks of it does not."""
    lines = [line for line in text.splitlines() if not re.match(r"\s*(#(?!!)|description:)", line)]
    return [line for line in lines if re.search(pattern, line)]


@pytest.mark.parametrize("what", FORBIDDEN)
def test_nothing_that_is_shipped_hands_out(what: str) -> None:
    paths = shipped()
    assert len(paths) > 200
    wrong = {
        str(path.relative_to(TOP)): lines
        for path in paths
        if (lines := found(path.read_text(encoding="utf-8", errors="replace"), FORBIDDEN[what]))
        and not (what == BECOMING and path.parent.name == "playbooks" and path.name in BY_PEOPLE)
    }
    assert wrong == {}


@pytest.mark.parametrize(
    ("what", "line"),
    [
        ("rights for sudo, doas or polkit", "    dest: /etc/sudoers.d/larapee"),
        (BECOMING, "  become: true"),
        (BECOMING, "  become_user: root"),
        (BECOMING, "ExecStart=/usr/bin/sudo -n true"),
        ("a program that runs as its owner", '    mode: "4755"'),
        ("a program that runs as its owner", "    mode: '04755'"),
        ("a program that runs as its owner", "    argv: [setcap, cap_dac_read_search+ep, /x]"),
        ("a group that is as good as root", "    groups: docker"),
        ("root by ssh", "PermitRootLogin yes"),
        ("host keys that are not checked", '        "-oStrictHostKeyChecking=no",'),
        ("certificates that are not checked", "    client = boto3.client('s3', verify=False)"),
    ],
)
def test_the_search_finds_what_it_is_for(what: str, line: str) -> None:
    assert found(line, FORBIDDEN[what]) == [line]


@pytest.mark.parametrize(
    "line", ['    mode: "0755"', '    mode: "0600"', "    mode: '0711'", "mode: 0o700", "mode: 640"]
)
def test_the_search_leaves_ordinary_modes_alone(line: str) -> None:
    assert found(line, FORBIDDEN["a program that runs as its owner"]) == []


def test_staying_who_one_is_is_no_finding() -> None:
    assert found("      become: false", FORBIDDEN[BECOMING]) == []
