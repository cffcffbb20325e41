# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import stat
import subprocess
from pathlib import Path

import pytest
import yaml

from larapee_runner.demo import programs, story
from larapee_runner.demo.application import Application
from larapee_runner.demo.errors import DemoError
from larapee_runner.demo.estate import make_keys, write_configuration
from larapee_runner.demo.workplace import MARKER, prepare_workplace


def test_a_foreign_directory_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "precious").write_text("mine", encoding="utf-8")
    with pytest.raises(DemoError, match=r"not empty and no demo made it.*--dir"):
        prepare_workplace(tmp_path)
    assert [path.name for path in tmp_path.rglob("*")] == ["state", "precious"]


def test_an_earlier_demo_is_replaced_but_not_what_a_person_put_there(tmp_path: Path) -> None:
    root = tmp_path / "new" / "demo"
    workplace, lock = prepare_workplace(root)
    lock.close()
    assert stat.S_IMODE(root.stat().st_mode) == 0o700
    (workplace.backups / "old.sql.gz.age").write_bytes(b"old")
    (root / "my-notes.txt").write_text("mine", encoding="utf-8")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "kept").touch()
    workplace.logs.rmdir()
    workplace.logs.symlink_to(elsewhere)
    again, lock = prepare_workplace(root)
    lock.close()
    assert list(again.backups.iterdir()) == []
    assert (root / "my-notes.txt").exists()
    assert (elsewhere / "kept").exists()
    assert not again.logs.is_symlink()


def test_two_demos_do_not_share_a_directory(tmp_path: Path) -> None:
    workplace, lock = prepare_workplace(tmp_path)
    (workplace.backups / "current").touch()
    with pytest.raises(DemoError, match="another one runs"):
        prepare_workplace(tmp_path)
    lock.close()
    assert (workplace.backups / "current").exists()
    assert (tmp_path / MARKER).read_text(encoding="utf-8").startswith("Made by")


def test_branch_and_restorer_have_what_is_theirs(tmp_path: Path) -> None:
    workplace, lock = prepare_workplace(tmp_path)
    lock.close()
    recipients = make_keys(workplace)
    operator, log_reader = workplace.branch / "operator.cnf", workplace.branch / "binlog.cnf"
    restorer = workplace.restorer / "target.cnf"
    write_configuration(
        workplace,
        application=Application(workplace.application),
        recipients=recipients,
        operator=operator,
        log_reader=log_reader,
        restorer=restorer,
    )
    assert len(set(recipients)) == 2
    assert all(recipient.startswith("age1") for recipient in recipients)
    branch = yaml.safe_load(workplace.inventory.read_text(encoding="utf-8"))["branches"]["vars"]
    assert branch["larapee_backup_age_recipients"] == recipients
    # Who reads the binary log sees every database: never the account that dumps.
    files = [branch[f"larapee_backup_{of}_option_file"] for of in ("db", "binlog")]
    assert files == [str(operator), str(log_reader)]
    assert not [name for name, value in branch.items() if "identity" in name or "/restorer/" in str(value)]
    kept = [path for path in (tmp_path / "branch").rglob("*") if path.is_file()]
    assert not [path for path in kept if b"AGE-SECRET-KEY" in path.read_bytes()]
    private = [workplace.branch / "signing_key", *workplace.restorer.rglob("identity.txt")]
    assert [stat.S_IMODE(path.stat().st_mode) for path in private] == [0o600] * 3
    signature = subprocess.run(
        ["ssh-keygen", "-q", "-Y", "sign", "-f", workplace.branch / "signing_key", "-n", "larapee-backup"],
        input=b"manifest",
        capture_output=True,
        check=True,
    ).stdout
    (tmp_path / "s.sig").write_bytes(signature)
    signers = ["-f", workplace.restorer / "allowed_signers", "-I", "branch-001", "-s", tmp_path / "s.sig"]
    for namespace, code in (("larapee-backup", 0), ("git", 255)):
        done = subprocess.run(
            ["ssh-keygen", "-Y", "verify", "-n", namespace, *signers],
            input=b"manifest",
            capture_output=True,
            check=False,
        )
        assert done.returncode == code


def test_names_everything_that_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(programs, "SEARCH_DIRECTORIES", ())
    with pytest.raises(DemoError, match=r"mariadbd, .*age-keygen.* not found. As root: apt-get install age .*mariadb-"):
        story._require_programs()
