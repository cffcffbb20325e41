# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.larapee.backup.plugins.module_utils._mysql import _grants
from ansible_collections.larapee.backup.plugins.module_utils._mysql._connection import Server

MARIADB = Server(engine="mariadb", version="10.11.19-MariaDB-0+deb12u1-log", server_id=1, log_bin=True)
MARIADB_11_4 = Server(engine="mariadb", version="11.4.5-MariaDB", server_id=1, log_bin=True)
MYSQL = Server(engine="mysql", version="8.4.3", server_id=1, log_bin=True)

PASSWORD = "IDENTIFIED BY PASSWORD '*D821809F681A40A6E379B50D0463EFAE20BDD122'"

# SHOW GRANTS of MariaDB 10.11.19-MariaDB-0+deb12u1, recorded 2026-11-22, by what the account was given.
RECORDED = {
    "operator": [
        f"GRANT RELOAD, BINLOG MONITOR ON *.* TO `larapee-backup`@`localhost` {PASSWORD}",
        "GRANT SELECT, SHOW VIEW, EVENT, TRIGGER ON `larapos`.* TO `larapee-backup`@`localhost`",
        "GRANT SELECT ON `mysql`.`proc` TO `larapee-backup`@`localhost`",
    ],
    "restorer": [
        f"GRANT SET USER ON *.* TO `larapee-restore`@`localhost` {PASSWORD}",
        "GRANT SELECT, INSERT, CREATE, DROP, REFERENCES, INDEX, ALTER, LOCK TABLES, CREATE VIEW, SHOW VIEW, CREATE "
        "ROUTINE, ALTER ROUTINE, EVENT, TRIGGER ON `larapos`.* TO `larapee-restore`@`localhost`",
    ],
    "root": [
        "GRANT `keeper` TO `root`@`localhost` WITH ADMIN OPTION",
        "GRANT ALL PRIVILEGES ON *.* TO `root`@`localhost` WITH GRANT OPTION",
        "GRANT PROXY ON ``@`%` TO `root`@`localhost` WITH GRANT OPTION",
    ],
    "nothing": [f"GRANT USAGE ON *.* TO `none`@`localhost` {PASSWORD}"],
    "all of two schemas": [
        f"GRANT USAGE ON *.* TO `allp`@`localhost` {PASSWORD}",
        "GRANT ALL PRIVILEGES ON `larapos`.* TO `allp`@`localhost` WITH GRANT OPTION",
        "GRANT ALL PRIVILEGES ON `od``d`.* TO `allp`@`localhost`",
    ],
    "every schema by pattern": [
        "GRANT USAGE ON *.* TO `d`@`localhost`",
        "GRANT ALL PRIVILEGES ON `%`.* TO `d`@`localhost`",
    ],
    "unescaped underscore": [
        f"GRANT USAGE ON *.* TO `wild`@`localhost` {PASSWORD}",
        "GRANT SELECT, SHOW VIEW, EVENT, TRIGGER ON `larapo_`.* TO `wild`@`localhost`",
    ],
    "escaped underscore": [
        f"GRANT USAGE ON *.* TO `escd`@`localhost` {PASSWORD}",
        r"GRANT SELECT, SHOW VIEW, EVENT, TRIGGER ON `foo\_x`.* TO `escd`@`localhost`",
    ],
    "columns": [
        f"GRANT USAGE ON *.* TO `cols`@`localhost` {PASSWORD} REQUIRE SSL",
        "GRANT SELECT (`total`, `id`), INSERT, REFERENCES (`id`) ON `larapos`.`t2` TO `cols`@`localhost`",
        "GRANT EXECUTE ON PROCEDURE `larapos`.`close_day` TO `cols`@`localhost`",
    ],
    "one table": [
        "GRANT USAGE ON *.* TO `tbl`@`localhost`",
        "GRANT SELECT, TRIGGER ON `larapos`.`foo_x` TO `tbl`@`localhost`",
    ],
    "role in use": [
        "GRANT `keeper` TO `rol`@`localhost`",
        f"GRANT USAGE ON *.* TO `rol`@`localhost` {PASSWORD}",
        "GRANT USAGE ON *.* TO `keeper`",
        "GRANT SELECT, SHOW VIEW, EVENT, TRIGGER ON `larapos`.* TO `keeper`",
        "GRANT SELECT ON `mysql`.`proc` TO `keeper`",
        "SET DEFAULT ROLE `keeper` FOR `rol`@`localhost`",
    ],
    "role not in use": [
        "GRANT `keeper` TO `rolno`@`localhost`",
        f"GRANT USAGE ON *.* TO `rolno`@`localhost` {PASSWORD}",
    ],
    "global": [f"GRANT SELECT, RELOAD, SUPER ON *.* TO `anyw`@`%` {PASSWORD}"],
}
ON_SCHEMA = [f"{name} ON `larapos`.*" for name in ("SELECT", "SHOW VIEW", "TRIGGER", "EVENT")]
PROC = "SELECT ON mysql.proc"


@pytest.mark.parametrize(
    ("account", "missing"),
    [
        ("operator", []),
        ("root", []),
        ("role in use", []),
        ("all of two schemas", [PROC]),
        ("unescaped underscore", [PROC]),
        ("every schema by pattern", []),
        ("escaped underscore", [*ON_SCHEMA, PROC]),
        ("columns", [*ON_SCHEMA, PROC]),
        ("one table", [*ON_SCHEMA, PROC]),
        ("role not in use", [*ON_SCHEMA, PROC]),
        ("nothing", [*ON_SCHEMA, PROC]),
        ("global", ON_SCHEMA[1:]),
    ],
)
def test_what_an_account_of_mariadb_lacks_for_a_dump(account: str, missing: list[str]) -> None:
    grants = _grants.parse_grants(RECORDED[account])
    assert _grants.missing_for_dump(grants, database="larapos", server=MARIADB) == missing


def test_a_newer_mariadb_takes_the_privilege_for_routines_in_place_of_the_system_table() -> None:
    # From the documentation of MariaDB 11.3, SHOW CREATE ROUTINE.
    lines = [
        "GRANT SELECT, SHOW VIEW, EVENT, TRIGGER, SHOW CREATE ROUTINE ON `larapos`.* TO `b`@`localhost`",
    ]
    grants = _grants.parse_grants(lines)
    assert _grants.missing_for_dump(grants, database="larapos", server=MARIADB_11_4) == []
    assert _grants.missing_for_dump(grants, database="larapos", server=MARIADB) == [PROC]


# SHOW GRANTS of MySQL 8.4, as its documentation writes it (SHOW GRANTS Statement; Partial Revokes).
MYSQL_DOCUMENTED = {
    "operator": [
        "GRANT RELOAD, REPLICATION CLIENT ON *.* TO `b`@`localhost`",
        "GRANT BACKUP_ADMIN,SHOW_ROUTINE ON *.* TO `b`@`localhost`",
        "GRANT SELECT, SHOW VIEW, EVENT, TRIGGER ON `larapos`.* TO `b`@`localhost`",
    ],
    "without routines": ["GRANT SELECT, SHOW VIEW, EVENT, TRIGGER ON `larapos`.* TO `b`@`localhost`"],
    "global": ["GRANT SELECT, SHOW VIEW, EVENT, TRIGGER ON *.* TO `b`@`localhost`"],
    "partly revoked": [
        "GRANT SELECT, SHOW VIEW, EVENT, TRIGGER ON *.* TO `b`@`localhost`",
        "REVOKE TRIGGER ON `larapos`.* FROM `b`@`localhost`",
    ],
    "another partly revoked": [
        "GRANT SELECT, SHOW VIEW, EVENT, TRIGGER ON *.* TO `b`@`localhost`",
        "REVOKE TRIGGER ON `mysql`.* FROM `b`@`localhost`",
    ],
}


@pytest.mark.parametrize(
    ("account", "missing"),
    [
        ("operator", []),
        ("without routines", ["SHOW_ROUTINE ON *.*"]),
        ("global", []),
        ("partly revoked", ["TRIGGER ON `larapos`.*"]),
        ("another partly revoked", []),
    ],
)
def test_what_an_account_of_mysql_lacks_for_a_dump(account: str, missing: list[str]) -> None:
    grants = _grants.parse_grants(MYSQL_DOCUMENTED[account])
    assert _grants.missing_for_dump(grants, database="larapos", server=MYSQL) == missing


@pytest.mark.parametrize(
    ("account", "missing"),
    [
        ("restorer", []),
        ("root", []),
        ("all of two schemas", ["SET USER ON *.*"]),
        ("every schema by pattern", ["SET USER ON *.*"]),
    ],
)
def test_what_an_account_of_mariadb_lacks_for_a_restore(account: str, missing: list[str]) -> None:
    grants = _grants.parse_grants(RECORDED[account])
    assert _grants.missing_for_restore(grants, database="larapos", server=MARIADB) == missing


# Tried one by one on MySQL 9.7.4, 2026-11-22; SET_USER_ID is 8.0's name for two of them.
@pytest.mark.parametrize(
    ("everywhere", "missing"),
    [
        ("ALLOW_NONEXISTENT_DEFINER,SESSION_VARIABLES_ADMIN,SET_ANY_DEFINER,SYSTEM_USER", []),
        ("SESSION_VARIABLES_ADMIN,SET_USER_ID,SYSTEM_USER", []),
        ("SESSION_VARIABLES_ADMIN,SET_ANY_DEFINER,SYSTEM_USER", ["ALLOW_NONEXISTENT_DEFINER ON *.*"]),
        ("ALLOW_NONEXISTENT_DEFINER,SESSION_VARIABLES_ADMIN,SYSTEM_USER", ["SET_ANY_DEFINER ON *.*"]),
        ("SUPER", ["SYSTEM_USER ON *.*"]),
    ],
)
def test_what_an_account_of_mysql_lacks_for_a_restore(everywhere: str, missing: list[str]) -> None:
    lines = [f"GRANT {everywhere} ON *.* TO `r`@`localhost`", "GRANT ALL PRIVILEGES ON `larapos`.* TO `r`@`localhost`"]
    grants = _grants.parse_grants(lines)
    assert _grants.missing_for_restore(grants, database="larapos", server=MYSQL) == missing


def test_an_account_that_may_only_read_lacks_the_rest_for_a_restore() -> None:
    grants = _grants.parse_grants(RECORDED["operator"])
    missing = _grants.missing_for_restore(grants, database="larapos", server=MARIADB)
    assert "INSERT ON `larapos`.*" in missing
    assert "SELECT ON `larapos`.*" not in missing
    assert missing[-1] == "SET USER ON *.*"


@pytest.mark.parametrize(
    ("account", "may"),
    [("root", True), ("global", True), ("restorer", False), ("every schema by pattern", False), ("operator", False)],
)
def test_only_super_may_create_logged_routines(account: str, may: bool) -> None:
    assert _grants.may_create_logged_routines(_grants.parse_grants(RECORDED[account])) is may


# What MariaDB 10.11.19 let accounts with such grants read, tried 2026-11-22.
@pytest.mark.parametrize(
    ("pattern", "database", "covered"),
    [
        ("larapos", "larapos", True),
        ("larapos", "larapos2", False),
        ("larapo_", "larapos", True),
        ("larapo_", "larapo", False),
        ("larapo_", "larapoxx", False),
        (r"foo\_x", "foo_x", True),
        (r"foo\_x", "fooyx", False),
        ("foo_x", "fooyx", True),
        ("lara%", "larapos", True),
        ("lara%", "lara", True),
        ("lara%", "xlara", False),
        (r"lara\%", "larapos", False),
        (r"lara\%", "lara%", True),
        ("%", "anything", True),
        ("a.c", "abc", False),
        ("a\\", "a\\", True),
        ("shop+1", "shop+1", True),
        ("two\nlines%", "two\nlines", True),
        ("*", "larapos", True),
        ("*", "*", True),
        ("%", "*", False),
        ("_", "*", False),
    ],
)
def test_a_pattern_covers_what_the_server_says_it_covers(pattern: str, database: str, covered: bool) -> None:
    assert _grants.matches(pattern, database) is covered


def test_a_grant_on_one_table_takes_no_pattern() -> None:
    lines = ["GRANT SELECT ON `mysq_`.`proc` TO `b`@`localhost`"]
    grants = _grants.parse_grants([*lines, *RECORDED["unescaped underscore"]])
    assert _grants.missing_for_dump(grants, database="larapos", server=MARIADB) == [PROC]


def test_names_are_read_as_they_are_quoted() -> None:
    grants = _grants.parse_grants(RECORDED["all of two schemas"])
    assert _grants.missing_for_dump(grants, database="od`d", server=MARIADB) == [PROC]


def test_a_privilege_on_columns_is_not_the_privilege() -> None:
    (columns,) = [grant for grant in _grants.parse_grants(RECORDED["columns"]) if grant.table == "t2"]
    assert columns.privileges == {"INSERT"}


def test_of_several_patterns_every_one_must_have_a_privilege() -> None:
    """The server applies the most specific one only."""
    whole = "GRANT SELECT, SHOW VIEW, EVENT, TRIGGER ON `lara%`.* TO `a`@`localhost`"
    narrow = "GRANT SELECT, SHOW VIEW, EVENT ON `larapos`.* TO `a`@`localhost`"
    proc = "GRANT SELECT ON `mysql`.`proc` TO `a`@`localhost`"

    def missing(*lines: str) -> list[str]:
        return _grants.missing_for_dump(_grants.parse_grants([*lines, proc]), database="larapos", server=MARIADB)

    assert missing(whole) == []
    assert missing(whole, narrow) == missing(narrow) == ["TRIGGER ON `larapos`.*"]
    assert missing(whole, narrow, "GRANT TRIGGER ON *.* TO `a`@`localhost`") == []
    assert missing(narrow, "GRANT TRIGGER ON `larapos`.* TO `keeper`") == []
    assert missing(narrow, "GRANT TRIGGER ON `larapos`.* TO PUBLIC") == []
    # A role's own rows and those of the roles that it holds are merged by the server.
    nested = ("GRANT TRIGGER ON `lara%`.* TO `keeper`", "GRANT SELECT ON `larapos`.* TO `held`")
    assert missing(narrow, *nested) == ["TRIGGER ON `larapos`.*"]
    assert missing(narrow, *nested, "GRANT TRIGGER ON `larapos`.* TO `keeper`") == []


@pytest.mark.parametrize(
    ("server", "granted", "missing"),
    [
        (MARIADB, "RELOAD, BINLOG MONITOR, REPLICATION SLAVE", []),
        (MARIADB, "RELOAD, REPLICATION CLIENT, REPLICATION SLAVE", []),
        (MARIADB, "ALL PRIVILEGES", []),
        (MARIADB, "RELOAD, REPLICATION SLAVE", ["BINLOG MONITOR ON *.*"]),
        (MARIADB, "BINLOG MONITOR", ["REPLICATION SLAVE ON *.*", "RELOAD ON *.*"]),
        (MYSQL, "RELOAD, REPLICATION SLAVE, REPLICATION CLIENT", []),
        (MYSQL, "REPLICATION SLAVE", ["REPLICATION CLIENT ON *.*", "RELOAD ON *.*"]),
    ],
)
def test_reading_binary_logs_takes_three_privileges(server: Server, granted: str, missing: list[str]) -> None:
    grants = _grants.parse_grants([f"GRANT {granted} ON *.* TO `b`@`localhost`"])
    assert _grants.missing_for_sealing(grants, server=server) == missing
