# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who shares an account, a password or a file with whom."""

from __future__ import annotations

import dataclasses
import getpass
import os
from pathlib import Path

import pytest

from ansible_collections.larapee.backup.plugins.module_utils._preflight import Outcome, examine
from ansible_collections.larapee.backup.plugins.module_utils._preflight_accounts import credentials
from ansible_collections.larapee.backup.plugins.module_utils._preflight_request import PreflightRequest

RECIPIENTS = ("age1" + "q" * 58, "age1" + "p" * 58)
ENV = "APP_NAME=Shop\nDB_USERNAME=shop # the application\nDB_PASSWORD='of the shop'\n"


def option_file(path: Path, user: str, password: str) -> str:
    path.write_text(f'[client]\nuser={user}\npassword="{password}"\nsocket=/run/mysqld/mysqld.sock\n')
    path.chmod(0o600)
    return str(path)


@pytest.fixture
def host(tmp_path: Path) -> PreflightRequest:
    tmp_path.chmod(0o700)
    (tmp_path / ".env").write_text(ENV)
    return PreflightRequest(
        side="branch",
        branch="branch-001",
        recipients=RECIPIENTS,
        owners=(getpass.getuser(),),
        operator_option_file=option_file(tmp_path / "operator.cnf", "larapee-backup", "of the operator"),
        binlog_option_file=option_file(tmp_path / "binlog.cnf", "larapee-binlog", "of the reader"),
        restore_option_file=option_file(tmp_path / "restore.cnf", "larapee-restore", "of the restorer"),
        env_file=str(tmp_path / ".env"),
    )


def found(request: PreflightRequest) -> list[tuple[str, str]]:
    outcome = examine(request)
    tell_no_password(outcome)
    return [(finding.check, finding.state) for finding in outcome.findings]


def tell_no_password(outcome: Outcome) -> None:
    assert "of the shop" not in str(outcome)
    assert "of the operator" not in str(outcome)


def test_accounts_of_their_own_have_no_finding(host: PreflightRequest) -> None:
    assert found(host) == []


@pytest.mark.parametrize("name", ["operator", "binlog", "restore"])
@pytest.mark.parametrize(
    "env",
    [
        "DB_USERNAME={user}",
        'export DB_USERNAME="{user}"',
        "DB_USERNAME=shop\nDB_READ_USERNAME={user}",
        "DB_URL=mysql://{user}:x@127.0.0.1/larapos",
        'DATABASE_URL="mysql://{user}@localhost/larapos?charset=utf8mb4"',
        "ACCOUNT={user}\nDB_USERNAME=${{ACCOUNT}}",
        "DB_USERNAME='\"{user}\"'",
    ],
)
def test_the_application_shares_no_account(host: PreflightRequest, tmp_path: Path, name: str, env: str) -> None:
    user = {"operator": "larapee-backup", "binlog": "larapee-binlog", "restore": "larapee-restore"}[name]
    (tmp_path / ".env").write_text(env.format(user=user))
    assert found(host) == [("accounts", "REFUSED")]


@pytest.mark.parametrize(
    "env", ["DB_USERNAME=shop\nDB_PASSWORD='of the operator'", "DB_URL=mysql://shop:of%20the%20operator@h/larapos"]
)
def test_the_application_shares_no_password(host: PreflightRequest, tmp_path: Path, env: str) -> None:
    (tmp_path / ".env").write_text(env)
    assert found(host) == [("accounts", "REFUSED")]


@pytest.mark.parametrize("name", ["operator", "binlog"])
def test_the_restorer_shares_no_account(host: PreflightRequest, tmp_path: Path, name: str) -> None:
    option_file(tmp_path / f"{name}.cnf", "larapee-restore", "another")
    assert found(host) == [("accounts", "REFUSED")]


@pytest.mark.parametrize(("user", "password"), [("larapee-backup", "another"), ("larapee-binlog", "of the operator")])
def test_the_reader_of_the_binary_log_has_an_account_unless_allowed_by_name(
    host: PreflightRequest, tmp_path: Path, user: str, password: str
) -> None:
    option_file(tmp_path / "binlog.cnf", user, password)
    assert found(host) == [("binlog_account", "REFUSED")]
    assert examine(dataclasses.replace(host, allow=frozenset(["binlog_account"]))).failure() is None


@pytest.mark.parametrize(
    "env",
    [
        "APP_NAME=Shop",
        "DB_USERNAME=",
        "DB_USERNAME=null",
        "DB_USERNAME=${FROM_THE_ENVIRONMENT}",
        "DB_USERNAME=two words",
        'DB_USERNAME="open',
    ],
)
def test_an_application_whose_account_cannot_be_told_is_not_run(
    host: PreflightRequest, tmp_path: Path, env: str
) -> None:
    (tmp_path / ".env").write_text(env)
    assert found(host) == [("accounts", "NOT RUN")]
    (tmp_path / ".env").write_bytes(b"DB_USERNAME=\xff\xfe")
    assert found(host) == [("accounts", "NOT RUN")]
    (tmp_path / ".env").unlink()
    assert found(host) == [("accounts", "NOT RUN")]


def test_what_is_missing_hides_nothing_of_the_others(host: PreflightRequest, tmp_path: Path) -> None:
    (tmp_path / "binlog.cnf").unlink()
    (tmp_path / ".env").write_text("DB_USERNAME=larapee-backup")
    states = examine(host).states()
    assert (states["accounts"], states["binlog_account"], states["option_files"]) == ("REFUSED", "NOT RUN", "NOT RUN")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o777])
def test_a_file_that_others_can_use(host: PreflightRequest, tmp_path: Path, mode: int) -> None:
    key = tmp_path / "signing_key"
    key.write_text("")
    key.chmod(mode)
    assert found(dataclasses.replace(host, private_files=(str(key),))) == [("option_files", "REFUSED")]
    key.chmod(0o400)
    assert found(dataclasses.replace(host, private_files=(str(key),))) == []


def test_a_file_in_a_directory_that_others_can_write_to(host: PreflightRequest, tmp_path: Path) -> None:
    open_to_all = tmp_path / "open"
    open_to_all.mkdir()
    key = open_to_all / "signing_key"
    key.touch(0o600)
    request = dataclasses.replace(host, private_files=(str(key),))
    open_to_all.chmod(0o777)
    assert found(request) == [("option_files", "REFUSED")]
    # Others cannot replace what is not theirs in a directory like /tmp.
    open_to_all.chmod(0o1777)
    assert found(request) == []


def test_a_file_of_another_account(host: PreflightRequest) -> None:
    request = dataclasses.replace(host, owners=("nobody",))
    assert set(found(request)) == {("option_files", "REFUSED")}


def test_a_link_a_pipe_or_nothing_in_place_of_a_file(host: PreflightRequest, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(host.operator_option_file)
    assert found(dataclasses.replace(host, private_files=(str(link),))) == [("option_files", "REFUSED")]
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe, 0o600)
    assert found(dataclasses.replace(host, private_files=(str(pipe),))) == [("option_files", "REFUSED")]
    assert found(dataclasses.replace(host, private_files=(str(tmp_path / "no"),))) == [("option_files", "NOT RUN")]


def test_every_connection_of_the_application_counts() -> None:
    users, passwords = credentials(
        {
            "DB_USERNAME": "one",
            "DB_PASSWORD": "1",
            "DB_REPORT_USER": "two",
            "DB_URL": "mysql://thr%65e:3@4@host/db",
            "MAIL_USERNAME": "mail",
            "DB_HOST": "host",
            "DB_LOG_PASSWORD": "null",
        }
    )
    assert users == {"one", "two", "three"}
    assert passwords == {"1", "3@4"}
