# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ansible_collections.larapee.backup.plugins.plugin_utils._recorder import StoreError
from ansible_collections.larapee.backup.plugins.plugin_utils._recorder._option_file import read_option_file

if TYPE_CHECKING:
    from pathlib import Path


def write(path: Path, text: str, *, mode: int = 0o600) -> Path:
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)
    return path


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("plain", "plain"),
        ('"with # and ; inside"', "with # and ; inside"),
        ("'single'", "single"),
        (r'"a\\b\"c\s\td"', 'a\\b"c \td'),
        (r"a\qb", r"a\qb"),
        ("'tail\\\\'", "tail\\"),
        ("pässwörd€", "pässwörd€"),
        ("", ""),
    ],
)
def test_password_as_the_clients_read_it(tmp_path: Path, written: str, read: str) -> None:
    path = write(tmp_path / "my.cnf", f"# comment\n; comment\n\n[client]\nuser = runs\npassword={written}\n")
    assert read_option_file(path) == {"user": "runs", "password": read}


def test_other_groups_and_harmless_options_change_nothing(tmp_path: Path) -> None:
    path = write(
        tmp_path / "my.cnf", "[mysqldump]\nquick\nuser=other\n[client]\nssl_ca=/ca.pem\ndefault-character-set=utf8mb4\n"
    )
    assert read_option_file(path) == {"ssl-ca": "/ca.pem"}


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("[client]\npassword=S3cret#rest\n", "in line 2 an unquoted value holds #"),
        ("[client]\npassword='S3cret\n", "in line 2 a quote is not closed"),
        ("[client]\npasword=S3cret\n", "option 'pasword' is not known here"),
        ("[client]\nport=S3cret\n", "the port is no number"),
        ("!include /etc/mysql/S3cret.cnf\n", "it includes other files"),
        ("[client]\nssl-verify-server-cert=0\npassword=S3cret\n", "switches the check of the server off"),
        ("[client]\nssl-mode=DISABLED\npassword=S3cret\n", "switches the check of the server off"),
    ],
)
def test_refused_without_a_value_in_the_message(tmp_path: Path, text: str, cause: str) -> None:
    with pytest.raises(StoreError, match=cause) as caught:
        read_option_file(write(tmp_path / "my.cnf", text))
    assert "S3cret" not in str(caught.value)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_file_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    with pytest.raises(StoreError, match=f"its mode is {mode:04o}.*chmod 0600"):
        read_option_file(write(tmp_path / "my.cnf", "[client]\n", mode=mode))


def test_only_a_file_itself_is_read(tmp_path: Path) -> None:
    link = tmp_path / "link.cnf"
    link.symlink_to(write(tmp_path / "my.cnf", "[client]\n"))
    with pytest.raises(StoreError, match="Correct read_default_file"):
        read_option_file(link)
    with pytest.raises(StoreError, match="Correct read_default_file"):
        read_option_file(tmp_path / "none.cnf")
    with pytest.raises(StoreError, match="Failed to read the option file"):
        read_option_file(tmp_path)


def test_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "my.cnf", "")
    path.write_bytes(b"[client]\npassword=\xff\xfe\n")
    with pytest.raises(StoreError, match="not UTF-8"):
        read_option_file(path)
