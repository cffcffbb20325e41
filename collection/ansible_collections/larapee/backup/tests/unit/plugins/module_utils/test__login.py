# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError
from ansible_collections.larapee.backup.plugins.module_utils._login import LoginRequest, option_file, settle_login
from ansible_collections.larapee.backup.plugins.module_utils._mysql._option_file import (
    parse_option_file,
    read_option_file,
)


@pytest.fixture
def request_here(tmp_path: Path) -> LoginRequest:
    return LoginRequest(
        path=str(tmp_path / "operator.cnf"),
        password_file=str(tmp_path / "operator"),
        user="larapee-backup",
        socket="/run/mysqld/mysqld.sock",
    )


def password(request: LoginRequest) -> str:
    return Path(request.password_file).read_text(encoding="utf-8").strip()


def test_a_password_is_made_once_and_the_files_are_closed(request_here: LoginRequest) -> None:
    assert settle_login(request_here).made
    first = password(request_here)
    assert len(first) >= 32
    assert read_option_file(request_here.path)["password"] == first
    assert [Path(path).stat().st_mode & 0o777 for path in (request_here.path, request_here.password_file)] == [
        0o600
    ] * 2

    again = settle_login(request_here)
    assert (again.made, again.written) == (False, False)
    assert password(request_here) == first


def test_another_address_keeps_the_password(request_here: LoginRequest) -> None:
    settle_login(request_here)
    first = password(request_here)
    moved = dataclasses.replace(request_here, socket=None, host="127.0.0.1", port=3307, ssl_ca="/etc/ssl/db.pem")
    assert settle_login(moved).written
    assert read_option_file(moved.path) == {
        "user": "larapee-backup",
        "password": first,
        "host": "127.0.0.1",
        "port": "3307",
        "ssl_ca": "/etc/ssl/db.pem",
    }


def test_check_mode_writes_nothing(request_here: LoginRequest) -> None:
    outcome = settle_login(request_here, check_mode=True)
    assert (outcome.made, outcome.written) == (True, True)
    assert list(Path(request_here.path).parent.iterdir()) == []


def test_a_damaged_option_file_is_written_anew(request_here: LoginRequest) -> None:
    settle_login(request_here)
    Path(request_here.path).write_text("[mysqldump]\nskip-triggers\n")
    assert settle_login(request_here).written
    assert read_option_file(request_here.path)["password"] == password(request_here)


def test_a_password_that_others_can_read_is_refused(request_here: LoginRequest) -> None:
    settle_login(request_here)
    Path(request_here.password_file).chmod(0o644)
    with pytest.raises(BackupError) as refused:
        settle_login(request_here)
    assert refused.value.reason == "insecure_file"


@pytest.mark.parametrize("word", ['a"b', "back\\slash", "has # and ;", " spaces ", "ü"])
def test_every_printable_word_comes_back_as_it_was(request_here: LoginRequest, word: str) -> None:
    assert parse_option_file(option_file(request_here, word), name="x")["password"] == word


def test_a_line_break_cannot_add_an_option(request_here: LoginRequest) -> None:
    with pytest.raises(BackupError):
        option_file(dataclasses.replace(request_here, user="x\nhost=evil"), "secret")
