# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError
from ansible_collections.larapee.backup.plugins.module_utils._mysql import _password
from ansible_collections.larapee.backup.plugins.module_utils._mysql._accounts import (
    ROLES,
    Held,
    account,
    grant_statements,
    needs_tls,
    parse_held,
    refuse_names,
    schema_scope,
    wanted,
)
from ansible_collections.larapee.backup.plugins.module_utils._mysql._connection import Server

WHO = "`larapee-backup`@`localhost`"
RECORDED = (
    "24412430304124510A125B552223336C015F5201177F4B16145E19716B42556475454251704B76776E687473554839772E657A724942674C"
    "30624263432F707A323755615A44"
)
SCOPES = ("*.*", "`pos\\_1`.*", "`mysql`.`proc`", "PROCEDURE `pos_1`.`p`")
PRIVILEGES = ("SELECT", "INSERT", "RELOAD", "EVENT", "SELECT (`a`, `b`)", "BINLOG MONITOR")


def server(engine: str, version: str) -> Server:
    return Server(engine=engine, version=version, server_id=1, log_bin=True)


@pytest.mark.parametrize(
    ("engine", "version", "role", "everywhere"),
    [
        ("mariadb", "10.11.19-MariaDB", "operator", {"RELOAD"}),
        ("mariadb", "11.8.6-MariaDB", "binlog", {"REPLICATION SLAVE", "BINLOG MONITOR", "RELOAD"}),
        ("mariadb", "11.8.6-MariaDB", "restorer", {"SET USER"}),
        ("mysql", "8.0.22", "operator", {"RELOAD", "REPLICATION CLIENT", "SHOW_ROUTINE", "BACKUP_ADMIN"}),
        ("mysql", "8.0.23", "operator", {"FLUSH_TABLES", "REPLICATION CLIENT", "SHOW_ROUTINE", "BACKUP_ADMIN"}),
        ("mysql", "9.7.4-2", "binlog", {"REPLICATION SLAVE", "REPLICATION CLIENT", "RELOAD"}),
        ("mysql", "8.0.40", "restorer", {"SYSTEM_USER", "SESSION_VARIABLES_ADMIN", "SET_USER_ID"}),
        (
            *("mysql", "8.4.0", "restorer"),
            {"SYSTEM_USER", "SESSION_VARIABLES_ADMIN", "SET_ANY_DEFINER", "ALLOW_NONEXISTENT_DEFINER"},
        ),
    ],
)
def test_privileges_on_everything_are_those_of_the_release(
    engine: str, version: str, role: str, everywhere: set[str]
) -> None:
    assert wanted(role, server=server(engine, version), database="pos").privileges["*.*"] == everywhere


@pytest.mark.parametrize(("version", "since"), [("11.2.6-MariaDB", False), ("11.3.0-MariaDB", True)])
def test_routines_are_read_by_their_own_privilege_where_there_is_one(version: str, since: bool) -> None:
    privileges = wanted("operator", server=server("mariadb", version), database="pos").privileges
    assert ("SHOW CREATE ROUTINE" in privileges["`pos`.*"]) is since
    assert ("`mysql`.`proc`" in privileges) is not since


@pytest.mark.parametrize(
    ("engine", "version", "reading"),
    [
        ("mariadb", "11.2.6-MariaDB", ("`mysql`.`proc`", "SELECT")),
        ("mariadb", "11.3.0-MariaDB", ("`pos\\_1`.*", "SHOW CREATE ROUTINE")),
        ("mysql", "8.0.20", ("*.*", "SHOW_ROUTINE")),
    ],
)
def test_what_goes_aside_takes_a_schema_and_the_reading_of_routines_beside(
    engine: str, version: str, reading: tuple[str, str]
) -> None:
    known = server(engine, version)
    plain = wanted("restorer", server=known, database="pos_1").privileges
    more = wanted("restorer", server=known, database="pos_1", aside="pos_1_kept").privileges
    on, privilege = reading
    expected = dict(plain)
    expected["`pos\\_1\\_kept`.*"] = frozenset({"SELECT", "INSERT", "CREATE", "DROP", "ALTER"})
    expected[on] = plain.get(on, frozenset()) | {privilege}
    assert more == expected


@pytest.mark.parametrize(
    ("engine", "version"), [("mariadb", "10.4.34-MariaDB"), ("mysql", "5.7.44"), ("mysql", "8.0.19")]
)
def test_server_that_cannot_give_little_is_refused(engine: str, version: str) -> None:
    with pytest.raises(BackupError, match="without all") as caught:
        wanted("restorer", server=server(engine, version), database="pos")
    assert caught.value.reason == "unsupported_server"


def test_wildcards_of_a_name_are_escaped_where_they_are_wildcards() -> None:
    assert schema_scope("a_b%c\\d`e") == "`a\\_b\\%c\\\\d``e`.*"
    assert schema_scope("a_b%c", patterns=False) == "`a_b%c`.*"


def test_account_without_database_is_the_binlog_account_only() -> None:
    assert set(wanted("binlog", server=server("mysql", "9.7.4"), database=None).privileges) == {"*.*"}
    for role in set(ROLES) - {"binlog"}:
        with pytest.raises(ValueError, match="belongs to a database"):
            wanted(role, server=server("mysql", "9.7.4"), database=None)


def test_what_servers_show_is_understood() -> None:
    held = parse_held(
        [
            f"GRANT RELOAD ON *.* TO {WHO} IDENTIFIED BY PASSWORD '*00' REQUIRE SSL",
            f"GRANT BACKUP_ADMIN,SHOW_ROUTINE ON *.* TO {WHO}",
            f"GRANT SELECT, UPDATE (`a`, `b`) ON `pos\\_1`.* TO {WHO} WITH GRANT OPTION",
            f"GRANT USAGE ON `other`.* TO {WHO} WITH GRANT OPTION",
            f"GRANT SELECT ON `mysql`.`proc` TO {WHO}",
            f"GRANT EXECUTE ON PROCEDURE `pos_1`.`p` TO {WHO}",
            f"GRANT `role` TO {WHO}",
            f"GRANT `a`@`%`,`b`@`%` TO {WHO} WITH ADMIN OPTION",
            f"GRANT PROXY ON 'root'@'localhost' TO {WHO}",
            "GRANT INSERT ON `theirs`.* TO `role`",
            "GRANT SELECT ON `open`.* TO PUBLIC",
            f"SET DEFAULT ROLE `role` FOR {WHO}",
            f"REVOKE SELECT ON `mysql`.* FROM {WHO}",
        ],
        grantee=WHO,
    )
    assert held.privileges == {
        "*.*": {"RELOAD", "BACKUP_ADMIN", "SHOW_ROUTINE"},
        "`pos\\_1`.*": {"SELECT", "UPDATE (`a`, `b`)"},
        "`mysql`.`proc`": {"SELECT"},
        "PROCEDURE `pos_1`.`p`": {"EXECUTE"},
    }
    assert held.grantable == {"`pos\\_1`.*", "`other`.*"}
    assert held.memberships == ("`role`", "`a`@`%`,`b`@`%`", "PROXY ON 'root'@'localhost'")
    assert held.public == ("SELECT ON `open`.*",)


def test_grant_of_an_unknown_form_is_refused_and_not_told() -> None:
    with pytest.raises(BackupError, match="unknown form") as caught:
        parse_held([f"GRANT MAGIC UPON ALL TO {WHO} IDENTIFIED BY PASSWORD '*00'"], grantee=WHO)
    assert caught.value.reason == "unknown_grant"
    assert "*00" not in str(caught.value)


def test_account_whose_name_begins_with_ours_is_another() -> None:
    assert parse_held([f"GRANT RELOAD ON *.* TO {WHO}2"], grantee=WHO) == Held()


scopes = st.dictionaries(st.sampled_from(SCOPES), st.frozensets(st.sampled_from(PRIVILEGES), min_size=1))


@given(
    held=st.builds(Held, privileges=scopes, grantable=st.frozensets(st.sampled_from(SCOPES))),
    want=st.builds(Held, privileges=scopes),
)
def test_statements_lead_to_exactly_what_is_wanted_and_touch_nothing_that_is(held: Held, want: Held) -> None:
    has = {on: set(names) for on, names in held.privileges.items()}
    grantable = set(held.grantable)
    for statement in grant_statements(WHO, held, want):
        match = re.fullmatch(rf"(GRANT|REVOKE) (.+) ON (.+) (?:TO|FROM) {re.escape(WHO)}", statement)
        assert match is not None
        names = set(re.split(r", (?![^()]*\))", match[2]))
        if match[1] == "GRANT":
            has.setdefault(match[3], set()).update(names)
        elif names == {"GRANT OPTION"}:
            grantable.remove(match[3])
        else:
            assert names <= has[match[3]]
            has[match[3]] -= names
    assert {on: names for on, names in has.items() if names} == want.privileges
    assert grantable == set()
    assert grant_statements(WHO, want, want) == []


@pytest.mark.parametrize(
    ("name", "host"),
    [("root", "localhost"), ("ROOT", "%"), ("", "localhost"), ("mysql.sys", "localhost"), ("a" * 33, "h"), ("a", "")],
)
def test_names_of_the_server_and_no_names_are_refused(name: str, host: str) -> None:
    with pytest.raises(BackupError) as caught:
        refuse_names(name, host)
    assert caught.value.reason == "bad_name"


def test_names_are_quoted() -> None:
    assert account("a`b'c", "10.%") == "`a``b'c`@`10.%`"
    refuse_names("larapee-backup", "localhost")
    assert [host for host in ("localhost", "127.0.0.1", "::1", "10.%", "%") if needs_tls(host)] == ["10.%", "%"]


def test_hashes_are_those_of_the_servers() -> None:
    """The first is in MariaDB's manual; the second was made by MySQL 9.7 for the password `secret`."""
    assert _password.native_hash(b"password") == "*2470C0C06DEE42FD1618BB99005ADCA2EC9D1E19"
    stored = bytes.fromhex(RECORDED)
    assert _password.sha2_matches(b"secret", stored)
    assert not _password.sha2_matches(b"Secret", stored)
    assert not _password.sha2_matches(b"secret", b"")


@given(password=st.binary(min_size=1, max_size=256))
def test_hash_with_a_new_salt_matches_its_password_and_no_longer_one(password: bytes) -> None:
    stored = _password.sha2_hash(password)
    assert len(stored) == 70
    assert stored != _password.sha2_hash(password)
    assert _password.sha2_matches(password, stored)
    assert not _password.sha2_matches(password + b"x", stored)
