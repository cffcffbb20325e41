# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError
from ansible_collections.larapee.backup.plugins.module_utils._mysql import _option_file

GOOD = "[client]\nuser=larapee-backup\npassword=secret\nsocket=/run/mysqld/mysqld.sock\n"


def parse(text: str) -> dict[str, str]:
    return _option_file.parse_option_file(text, name="operator.cnf")


def password(written: str) -> str:
    return parse(f"[client]\nuser=u\nsocket=/s\npassword={written}\n")["password"]


def test_a_plain_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "operator.cnf"
    path.write_text(GOOD)
    path.chmod(0o600)
    assert _option_file.read_option_file(str(path)) == {
        "user": "larapee-backup",
        "password": "secret",
        "socket": "/run/mysqld/mysqld.sock",
    }


# What my_print_defaults of MariaDB 10.11.19 prints for the same lines, tried 2026-11-22.
@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("secret", "secret"),
        ("  spaced out  ", "spaced out"),
        ("", ""),
        ('"#1 \\"quoted\\" \\\\ back"', '#1 "quoted" \\ back'),
        ("'single # quoted'", "single # quoted"),
        ("'it''s'", "it''s"),
        ('"a\'b"', "a'b"),
        ("a#b", "a"),
        ("#", ""),
        ("a;b", "a;b"),
        ('"abc" # a comment', "abc"),
        ('"a#b" # a comment', "a#b"),
        ('a"b#c"d', 'a"b#c"d'),
        ('"q" x "r"', 'q" x "r'),
        ('"', '"'),
        ('"a', '"a'),
        ("a=b=c", "a=b=c"),
        (r"x\sy\tz", "x y\tz"),
        (r"\n\r\b", "\n\r\b"),
        (r"\q\1", r"\q\1"),
        ("end\\", "end\\"),
        (r"\\s", r"\s"),
        (r'"a\"#b"', 'a"#b'),
        ("pässwörd 密", "pässwörd 密"),
        ("\u00a0hard space", "\u00a0hard space"),
    ],
)
def test_a_value_is_what_the_clients_take_it_for(written: str, read: str) -> None:
    assert password(written) == read


@settings(deadline=None)
@given(st.text(st.characters(exclude_characters="\n\0", exclude_categories=["Cs"])))
def test_any_password_survives_being_quoted(secret: str) -> None:
    quoted = '"' + secret.replace("\\", "\\\\").replace('"', '\\"') + '"'
    assert password(quoted) == secret


def test_the_last_of_two_equal_options_counts_and_dashes_are_underscores() -> None:
    options = parse(
        "[client]\nuser=a\nssl-ca=/a\n# user=x\n; user=y\n\n[client] # again\nuser = b\nssl_ca=/b\nssl\nhost=db\n"
    )
    assert options == {"user": "b", "ssl_ca": "/b", "ssl": "1", "host": "db"}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[client]\nuser=u\n[mysqldump]\nskip-triggers\n", r"line 3: the group \[mysqldump\] is not allowed"),
        ("[client]\nuser=u\n[client-server]\n", r"the group \[client-server\]"),
        ("[client]\nuser=u\n[mysqld]\nuser=mysql\n", r"the group \[mysqld\]"),
        ("[]\nuser=u\n", r"the group \[\]"),
        ("[client]\nuser=u\nskip-triggers\n", "line 3: the option skip_triggers is not allowed"),
        ("[client]\nuser=u\nwhere=id=1\n", "the option where is not allowed"),
        ("[client]\nuser=u\ndefault-character-set=latin1\n", "the option default_character_set is not allowed"),
        ("[client]\nuser=u\n!include /etc/mysql/my.cnf\n", "line 3: the option !include is not allowed"),
        ("!includedir /etc/mysql/conf.d\n[client]\nuser=u\n", "line 1: the option !includedir is not allowed"),
        ("user=u\n", "line 1: the option user is not allowed"),
        ("[client]\nuser=u\npassword\n", "line 3: the option password has no value"),
        ("[client]\nuser=u\n=x\n", r"the option \? is not allowed"),
        ("[client]\nuser=u\nUSER=x\n", "the option USER is not allowed"),
        ("[client]\nsocket=/s\n", "it has no user"),
        ("[client]\nuser=\n", "it has no user"),
        ("[client]\nuser=u\n", "it names neither a socket nor a host"),
        ("[client]\nuser=u\nhost=localhost\nport=3307\n", "it names neither a socket nor a host"),
        ("[client]\nuser=u\nsocket=/s\nprotocol=tcp\n", "the option protocol is not allowed"),
        ("[client]\nuser=u\nhost=db\nport=mysql\n", "its port is not a number"),
        ("", "it has no user"),
    ],
)
def test_what_could_change_a_dump_is_refused(text: str, why: str) -> None:
    with pytest.raises(BackupError, match=why) as caught:
        parse(text)
    assert caught.value.reason == "bad_option_file"


def test_a_refusal_never_shows_a_value() -> None:
    with pytest.raises(BackupError) as caught:
        parse("[client]\nuser=u\npassword=s3cret\npasword=s3cret\n")
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o610, 0o666])
def test_a_file_that_others_can_use_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "operator.cnf"
    path.write_text(GOOD)
    path.chmod(mode)
    with pytest.raises(BackupError, match="Run chmod 600 on it") as caught:
        _option_file.read_option_file(str(path))
    assert caught.value.reason == "insecure_file"


@pytest.mark.parametrize("mode", [0o600, 0o400])
def test_a_file_of_its_owner_alone_is_read(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "operator.cnf"
    path.write_text(GOOD)
    path.chmod(mode)
    assert _option_file.read_option_file(str(path))["user"] == "larapee-backup"


def test_a_missing_or_unreadable_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(BackupError, match="No such file") as caught:
        _option_file.read_option_file(str(tmp_path / "gone.cnf"))
    assert caught.value.reason == "missing_file"
    path = tmp_path / "latin1.cnf"
    path.write_bytes(b"[client]\nuser=caf\xe9\n")
    path.chmod(0o600)
    with pytest.raises(BackupError, match="Failed to read option file"):
        _option_file.read_option_file(str(path))


@pytest.mark.parametrize(
    ("options", "server"),
    [
        ({"socket": "/run/s"}, "/run/s"),
        ({"socket": "/run/s", "host": "localhost"}, "/run/s"),
        ({"socket": "/run/s", "host": "db"}, "db:3306"),
        ({"host": "db", "port": "3307"}, "db:3307"),
        ({}, "localhost:3306"),
    ],
)
def test_messages_name_the_server_that_is_meant(options: dict[str, str], server: str) -> None:
    assert _option_file.describe_server(options) == server
