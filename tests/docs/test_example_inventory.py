# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the example inventory makes of the file of recipients: with keys in it, without any, and where it is missing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SETTINGS = Path(__file__).parents[2] / "inventories/example/group_vars/all/main.yml"
PLAY = """
- hosts: localhost
  gather_facts: false
  tasks:
    - ansible.builtin.copy:
        content: "{{ larapee_backup_age_recipients | to_json }}"
        dest: "{{ playbook_dir }}/found"
        mode: "0600"
"""


@pytest.mark.parametrize(
    ("text", "found"),
    [("# the safe's\nage1first\n\nage1second\n", ["age1first", "age1second"]), ("", []), (None, [])],
    ids=["two", "empty", "missing"],
)
def test_a_missing_file_is_as_one_without_keys_of_which_the_backup_says_what_to_do(
    tmp_path: Path, text: str | None, found: list[str]
) -> None:
    file = tmp_path / "recipients.txt"
    if text is not None:
        file.write_text(text, encoding="utf-8")
    settings = SETTINGS.read_text(encoding="utf-8").replace("/etc/larapee-backup/recipients.txt", str(file))
    (tmp_path / "settings.yml").write_text(settings, encoding="utf-8")
    (tmp_path / "play.yml").write_text(PLAY, encoding="utf-8")
    program = Path(sys.executable).parent / "ansible-playbook"
    environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "LANG": "C.UTF-8"}
    argv = [str(program), "-e", "@settings.yml", "play.yml"]
    done = subprocess.run(argv, cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads((tmp_path / "found").read_text(encoding="utf-8")) == found
    assert (str(file) in done.stderr + done.stdout) is (text is None)
