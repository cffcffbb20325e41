# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What ansible-playbook may see of the caller's environment, and which callbacks it gets."""

from __future__ import annotations

from pathlib import Path

import pytest

from larapee_runner.environment import ansible_config_file, callbacks_enabled, child_environment, launcher_name

OURS = "larapee.backup.backup_runs"


def child(environ: dict[str, str], cwd: Path, *, also: tuple[str, ...] = ()) -> dict[str, str]:
    return child_environment(environ, cwd=cwd, run_id="run", launcher="cli", launcher_pid=42, also=also)


@pytest.mark.parametrize(
    "name",
    [
        "AWS_SECRET_ACCESS_KEY",
        "MYSQL_PWD",
        "LARAPEE_BACKUP_RECORDER",
        "LARAPEE_BACKUP_RECORDER_PID",
        "LARAPEE_BACKUP_OWNER_LOCK",
        "ANSIBLE_DEBUG",
        "LD_PRELOAD",
        "X_ANSIBLE_Y",
    ],
)
def test_held_back(name: str, tmp_path: Path) -> None:
    assert name not in child({name: "secret"}, tmp_path)


@pytest.mark.parametrize(
    "name",
    [
        "PATH",
        "HOME",
        "LC_TIME",
        "SSH_AUTH_SOCK",
        "ANSIBLE_COLLECTIONS_PATH",
        "LARAPEE_BACKUP_RUNS_URL",
        "https_proxy",
        "TZ",
    ],
)
def test_passed_on(name: str, tmp_path: Path) -> None:
    assert child({name: "value"}, tmp_path)[name] == "value"


@pytest.mark.parametrize(
    ("environ", "locale"),
    [
        ({"LC_ALL": "C"}, "C.UTF-8"),
        ({"LC_ALL": "C", "LANG": "C.UTF-8"}, "C.UTF-8"),
        ({"LC_CTYPE": "de_DE.ISO-8859-1", "LANG": "C.UTF-8"}, "C.UTF-8"),
        ({"LANG": "de_DE"}, "C.UTF-8"),
        ({}, "C.UTF-8"),
        ({"LC_ALL": "de_DE.UTF-8"}, "de_DE.UTF-8"),
        ({"LC_ALL": "", "LANG": "de_DE.utf8@euro"}, ""),
        ({"LANG": "C.UTF-8"}, None),
    ],
)
def test_the_locale_is_one_that_ansible_starts_in(environ: dict[str, str], locale: str | None, tmp_path: Path) -> None:
    assert child(environ, tmp_path).get("LC_ALL") == locale


def test_a_variable_named_by_the_caller_is_passed_on_but_never_the_recorders(tmp_path: Path) -> None:
    environ = {"VAULT_TOKEN": "t", "LARAPEE_BACKUP_RECORDER": "forged"}
    passed = child(environ, tmp_path, also=("VAULT_TOKEN", "LARAPEE_BACKUP_RECORDER"))
    assert passed["VAULT_TOKEN"] == "t"
    assert "LARAPEE_BACKUP_RECORDER" not in passed


def test_ours_replace_what_was_there(tmp_path: Path) -> None:
    environ = {"LARAPEE_BACKUP_RUN_ID": "old", "LARAPEE_BACKUP_LAUNCHER": "awx", "LARAPEE_BACKUP_LAUNCHER_PID": "1"}
    passed = child(environ, tmp_path)
    assert passed["LARAPEE_BACKUP_RUN_ID"] == "run"
    assert passed["LARAPEE_BACKUP_LAUNCHER"] == "cli"
    assert passed["LARAPEE_BACKUP_LAUNCHER_PID"] == "42"


def test_callbacks_alone(tmp_path: Path) -> None:
    assert callbacks_enabled({"HOME": str(tmp_path)}, tmp_path) == OURS


def test_callbacks_of_the_environment_stay(tmp_path: Path) -> None:
    assert (
        callbacks_enabled({"ANSIBLE_CALLBACKS_ENABLED": "timer, profile_tasks"}, tmp_path)
        == f"timer,profile_tasks,{OURS}"
    )


def test_callbacks_are_not_named_twice(tmp_path: Path) -> None:
    assert callbacks_enabled({"ANSIBLE_CALLBACKS_ENABLED": f"{OURS},timer"}, tmp_path) == f"{OURS},timer"


@pytest.mark.parametrize("text", ["timer, ara_default", "timer,\n  ara_default ; not more"])
def test_callbacks_of_the_governing_file_stay(text: str, tmp_path: Path) -> None:
    (tmp_path / "ansible.cfg").write_text(f"[defaults]\ncallbacks_enabled = {text}\n")
    assert callbacks_enabled({}, tmp_path) == f"timer,ara_default,{OURS}"


def test_the_environment_goes_before_the_file(tmp_path: Path) -> None:
    (tmp_path / "ansible.cfg").write_text("[defaults]\ncallbacks_enabled = timer\n")
    assert callbacks_enabled({"ANSIBLE_CALLBACKS_ENABLED": ""}, tmp_path) == OURS


@pytest.mark.parametrize("content", [b"no section\n", b"[defaults]\ncallbacks_enabled = \xff\n", b""])
def test_a_file_that_cannot_be_read_is_left_to_ansible(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "ansible.cfg").write_bytes(content)
    assert callbacks_enabled({}, tmp_path) == OURS


def test_config_file_order(tmp_path: Path) -> None:
    home, cwd, named = tmp_path / "home", tmp_path / "cwd", tmp_path / "named"
    for directory in (home, cwd, named):
        directory.mkdir(mode=0o755)
    (home / ".ansible.cfg").touch()
    environ = {"HOME": str(home)}
    assert ansible_config_file(environ, cwd) == home / ".ansible.cfg"
    (cwd / "ansible.cfg").touch()
    assert ansible_config_file(environ, cwd) == cwd / "ansible.cfg"
    (named / "ansible.cfg").touch()
    assert ansible_config_file({**environ, "ANSIBLE_CONFIG": str(named)}, cwd) == named / "ansible.cfg"
    assert ansible_config_file({**environ, "ANSIBLE_CONFIG": "../named/ansible.cfg"}, cwd).samefile(
        named / "ansible.cfg"
    )


def test_the_file_of_a_directory_that_anybody_may_write_is_ignored_as_ansible_ignores_it(tmp_path: Path) -> None:
    cwd = tmp_path / "open"
    cwd.mkdir()
    cwd.chmod(0o777)
    (cwd / "ansible.cfg").write_text("[defaults]\ncallbacks_enabled = timer\n")
    assert callbacks_enabled({"HOME": str(tmp_path)}, cwd) == OURS


@pytest.mark.parametrize(
    ("environ", "interactive", "name"),
    [
        ({}, True, "cli"),
        ({}, False, "cli"),
        ({"INVOCATION_ID": "x"}, False, "timer"),
        ({"INVOCATION_ID": "x"}, True, "cli"),
        ({"LARAPEE_BACKUP_LAUNCHER": "timer"}, True, "timer"),
        ({"LARAPEE_BACKUP_LAUNCHER": "cli", "INVOCATION_ID": "x"}, False, "cli"),
        ({"LARAPEE_BACKUP_LAUNCHER": "nonsense"}, False, "cli"),
    ],
)
def test_launcher(environ: dict[str, str], interactive: bool, name: str) -> None:
    assert launcher_name(environ, interactive=interactive) == name
