# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Passwords and private keys: in no argument, environment, output, record or file but the ones that hold them."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from .branch import BRANCH, FULL, RESTORE, VERIFY
from .leaks import Search, Watch, show_programs
from .processes import wait_for

if TYPE_CHECKING:
    from .branch import Branch

PROGRAMS = ("mariadb-dump", "mariadb", "age", "ssh-keygen", "igzip", "zstd")


def key_line(path: Path) -> str:
    return next(line for line in path.read_text(encoding="ascii").splitlines() if line.startswith("AGE-SECRET-KEY-"))


@pytest.fixture
def search(branch: Branch) -> Search:
    secrets = {
        "the operator's password": branch.passwords["operator"],
        "the restorer's password": branch.passwords["restorer"],
        "the restorer's identity": key_line(branch.keys.identity),
        "the signing key": branch.keys.signing_key.read_text(encoding="ascii").splitlines()[2],
        "the application's key": branch.config[0].read_text(encoding="ascii").strip().partition("=")[2],
    }
    application = [branch.config[0], restored_config(branch) / str(branch.config[0]).lstrip("/")]
    return Search(secrets, homes=[branch.operator_file, branch.restorer_file, *application])


def restored_config(branch: Branch) -> Path:
    return branch.directory / "restored-config"


def short_lived(branch: Branch) -> tuple[Path, ...]:
    return Path(branch.environ["HOME"]), Path(branch.environ["TMPDIR"])


def test_secrets_stay_where_they_are(branch: Branch, search: Search) -> None:
    log = branch.directory / "programs"
    show_programs(PROGRAMS, directory=branch.directory / "bin", log=log)
    branch.write_inventory(
        larapee_backup_verify_age_identity=str(branch.keys.identity),
        larapee_backup_restore_uploads_path=str(branch.directory / "restored-uploads"),
        larapee_backup_restore_config_path=str(restored_config(branch)),
    )
    again = ("-e", f"larapee_backup_restore_confirm={BRANCH}", "-e", "larapee_backup_restore_parts=database,uploads")
    with Watch(search, *short_lived(branch)) as watch:
        for playbook in (FULL, VERIFY, RESTORE):
            code, started = branch.run(playbook, "-vvvv")
            assert code == 0, started.output
            assert "TASK" in started.output, "the output that was asked for is not there"
        code, started = branch.playbook(RESTORE, "-vvvvv", *again)
        assert code == 0, started.output
    rows = branch.rows()
    verification = rows[2]
    assert verification.details["levels"]["opened"]["OK"] == 3
    assert watch.rounds > 50
    assert watch.found == {}
    shown = log.read_bytes()
    assert all(f"/{program}\0".encode() in shown for program in PROGRAMS)
    assert search.names_in(json.dumps([row.to_json() for row in rows]).encode()) == []
    assert search.files(branch.directory) == {}
    assert search.foreign_files() == {}


@pytest.mark.parametrize("spoil", ["foreign", "mistyped"])
def test_identity_that_does_not_fit_is_not_shown_by_the_error(branch: Branch, spoil: str) -> None:
    code, started = branch.playbook(FULL)
    assert code == 0, started.output
    given = branch.directory / "given"
    if spoil == "foreign":
        subprocess.run(["age-keygen", "-o", str(given)], check=True, capture_output=True)
    else:
        line = key_line(branch.keys.identity)
        given.write_text(f"# the restorer's\n{line[:-1]}{'Q' if line[-1] != 'Q' else 'P'}\n", encoding="ascii")
    given.chmod(0o600)
    line = key_line(given)
    # Most of a key is as good as all of it.
    search = Search({"identity": line, "its first half": line[:45], "its second half": line[30:]}, homes=[given])
    with Watch(search, *short_lived(branch)) as watch:
        code, started = branch.run(RESTORE, "-vvvv", "-e", f"larapee_backup_restore_age_identity={given}")
    assert code == 1, started.output
    row = branch.rows()[0]
    assert (row.status, row.kind) == ("failed", "restore")
    assert str(row.error).startswith("Failed to open db-")
    assert (watch.found, search.files(branch.directory), search.foreign_files()) == ({}, {}, {})


@pytest.mark.parametrize(
    ("arguments", "environ", "words"),
    [
        (("-e", "ansible_pipelining=false"), {}, "without pipelining Ansible would write it to the target's disk"),
        (
            (),
            {"ANSIBLE_KEEP_REMOTE_FILES": "1"},
            "with kept remote files or async Ansible would write it to the target",
        ),
    ],
    ids=["pipelining-off", "keep-remote-files"],
)
def test_restore_refuses_to_hand_the_identity_over_by_the_disk(
    branch: Branch, search: Search, arguments: tuple[str, ...], environ: dict[str, str], words: str
) -> None:
    code, started = branch.playbook(FULL)
    assert code == 0, started.output
    for begin in (branch.run, branch.playbook):
        with Watch(search, *short_lived(branch)) as watch:
            code, started = begin(RESTORE, *arguments, environ=environ)
        assert code == (1 if begin == branch.run else 2), started.output
        assert "Failed to hand over the identity" in started.words
        assert words in started.words
        row = branch.rows()[0]
        assert (row.status, row.kind, row.branch) == ("failed", "restore", BRANCH)
        assert words in str(row.error)
        assert watch.found == {}
    with branch.server.connect() as connection, connection.cursor() as cursor:
        assert cursor.execute("SHOW DATABASES LIKE %s", [branch.restored]) == 0
    assert search.files(branch.directory) == {}
    assert search.foreign_files() == {}


def test_identity_that_others_can_read_is_refused(branch: Branch) -> None:
    code, started = branch.playbook(FULL)
    assert code == 0, started.output
    given = branch.directory / "given"
    given.write_bytes(branch.keys.identity.read_bytes())
    given.chmod(0o640)
    code, started = branch.playbook(RESTORE, "-e", f"larapee_backup_restore_age_identity={given}")
    assert code == 2
    assert "others can read it. Run chmod 600 on it." in started.words


def test_search_finds_what_is_planted(branch: Branch, search: Search) -> None:
    """Without this, the tests above would pass with a blind search."""
    password, line = branch.passwords["operator"], key_line(branch.keys.identity)
    temporary = Path(branch.environ["TMPDIR"])
    with Watch(search, *short_lived(branch)) as watch:
        argument = branch.start("sh", "-c", "sleep 60; :", password)
        environment = branch.start("sleep", "60", environ={"PGPASSWORD": branch.passwords["restorer"]})
        wait_for(lambda: len(watch.found) == 2, what="the finding of two processes", patience_s=10)
        passing = temporary / "passing"
        passing.write_text(line, encoding="ascii")
        wait_for(lambda: str(passing) in watch.found, what="the finding of a file", patience_s=10)
        passing.unlink()
    assert sorted(watch.found.values()) == [
        ["the operator's password"],
        ["the restorer's identity"],
        ["the restorer's password"],
    ]
    for started in (argument, environment):
        started.process.kill()

    coded = branch.state / "deep" / "coded"
    coded.parent.mkdir(parents=True)
    coded.write_bytes(base64.b64encode(f'{{"age_identity": "# created\\n{line}\\n"}}'.encode()))
    assert search.files(branch.directory) == {str(coded): ["the restorer's identity"]}
    descriptor, foreign = tempfile.mkstemp()
    os.write(descriptor, f"password={password}".encode())
    os.close(descriptor)
    try:
        assert search.foreign_files() == {foreign: ["the operator's password"]}
    finally:
        Path(foreign).unlink()
