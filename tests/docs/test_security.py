# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What docs/security.md says that somebody can and cannot do, tried; and the tests that it names."""

from __future__ import annotations

import ast
import re
import subprocess
from typing import TYPE_CHECKING

import pytest

from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError
from larapee_runner.demo import accounts
from tests.database.estate import DATABASE, SCHEMA, sql
from tests.docs.forger import forge
from tests.docs.pages import DOCS, TOP, table, tables

if TYPE_CHECKING:
    from pathlib import Path

    from tests.database.estate import Estate

PAGE = DOCS / "security.md"
COLLECTION = TOP / "collection/ansible_collections/larapee/backup"
GRANTS = "| privilege | on |"
ATTACKERS = (
    "the operator's SQL account",
    "the SQL account for binary logs",
    "the branch's disk, or root there",
    "the branch's signing key",
    "the web application",
    "a restorer's age identity",
    "the restorer's SQL account",
    "a unit of the branch",
    "an account on the branch that is not root",
    "the table of runs",
    "an account on central",
    "a branch that poses as another",
    "for run records",
    "the acknowledge key",
    "root on central",
    "the host of a storage",
    "when a recipient is accepted",
    "the account `larapee-pull`",
    "older, rightly signed manifests",
)
OTHER = """
CREATE OR REPLACE DATABASE other;
CREATE TABLE other.secret (v TEXT);
INSERT INTO other.secret VALUES ('theirs');
"""
OPERATOR_MAY = (
    "SELECT COUNT(*) FROM larapos.orders",
    "SELECT COUNT(*) FROM mysql.proc",
    "CREATE TRIGGER larapos.stop BEFORE INSERT ON larapos.orders FOR EACH ROW SIGNAL SQLSTATE '45000'",
    "DROP TRIGGER larapos.note_default",
    "DROP EVENT larapos.tidy",
    "FLUSH TABLES WITH READ LOCK",
    "RESET MASTER",
)
OPERATOR_MAY_NOT = (
    "INSERT INTO larapos.emptied VALUES (1)",
    "UPDATE larapos.orders SET total = 0",
    "DELETE FROM larapos.orders",
    "DROP TABLE larapos.emptied",
    "ALTER TABLE larapos.emptied ADD c INT",
    "CREATE TABLE larapos.mine (i INT)",
    "CALL larapos.close_day()",
    "SELECT * FROM other.secret",
    "SHOW BINLOG EVENTS",
    "SELECT * FROM mysql.user",
    "SELECT 1 INTO OUTFILE '/nonexistent/file'",
    "CREATE USER another",
    "SET GLOBAL max_connections = 1",
    "SHUTDOWN",
)
RESTORER_MAY = (
    "CREATE DEFINER = root@localhost PROCEDURE larapos.up() SELECT * FROM other.secret",
    "CALL larapos.up()",
    "DROP DATABASE larapos",
    "CREATE DATABASE larapos",
)
RESTORER_MAY_NOT = (
    "UPDATE larapos.orders SET total = 0",
    "SELECT * FROM other.secret",
    "CREATE DATABASE another",
    "DROP DATABASE other",
    "CREATE USER another",
    "GRANT SELECT ON larapos.* TO 'larapee-restore'@'localhost'",
    "SELECT 1 INTO OUTFILE '/nonexistent/file'",
    "SET GLOBAL event_scheduler = ON",
)


def ask(option_file: Path, statement: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["mariadb", f"--defaults-file={option_file}", "--batch", "-e", statement], capture_output=True, text=True
    )


def denied(option_file: Path, statements: tuple[str, ...]) -> list[str]:
    """Those that the server refuses for want of a privilege; any other error is one of the test."""
    found = []
    for statement in statements:
        done = ask(option_file, statement)
        if done.returncode:
            assert re.search(r"ERROR (1044|1045|1142|1227|1370) ", done.stderr), f"{statement}: {done.stderr}"
            found.append(statement)
    return found


def test_what_the_operator_can_and_cannot(estate: Estate) -> None:
    sql(estate.source, OTHER)
    assert denied(estate.operator_file, OPERATOR_MAY_NOT) == list(OPERATOR_MAY_NOT)
    assert denied(estate.operator_file, OPERATOR_MAY) == []
    assert "NULL" in ask(estate.operator_file, "SELECT LOAD_FILE('/etc/hostname')").stdout


def test_what_the_restorer_can_and_cannot(estate: Estate) -> None:
    sql(estate.target, SCHEMA + OTHER)
    assert denied(estate.restorer_file, RESTORER_MAY_NOT) == list(RESTORER_MAY_NOT)
    assert denied(estate.restorer_file, RESTORER_MAY) == []
    assert "NULL" in ask(estate.restorer_file, "SELECT LOAD_FILE('/etc/hostname')").stdout


@pytest.mark.parametrize("payload", ["\\! touch {file}", "system touch {file}", "\\T {file}", "\\. {secret}"])
def test_a_forged_full_runs_no_command_and_reads_no_file(estate: Estate, tmp_path: Path, payload: str) -> None:
    secret = tmp_path / "secret.sql"
    secret.write_text("INSERT INTO t VALUES ('read');\n")
    forge(estate, payload.format(file=tmp_path / "made", secret=secret))
    with pytest.raises(BackupError, match="Failed to load"):
        estate.restore()
    assert not (tmp_path / "made").exists()


def test_a_forged_full_brings_no_file_into_the_database(estate: Estate, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("of this host\n")
    forge(estate, f"LOAD DATA LOCAL INFILE '{secret}' INTO TABLE t;")
    with pytest.raises(BackupError, match="local infile"):
        estate.restore()


def test_the_operator_has_the_grants_of_the_table_and_needs_each(estate: Estate) -> None:
    rows = table(PAGE, GRANTS)
    listed = {(privilege, on) for privilege, on, *_rest in rows}
    names = accounts.OPERATOR_GRANTS.split(", ")
    everywhere = accounts.OPERATOR_GLOBAL_GRANTS.split(", ")
    assert listed == {
        *((name, "the shop's schema") for name in names),
        *((name, "all") for name in everywhere),
        ("SELECT", "mysql.proc"),
    }
    for privilege, on, _why, without in rows:
        scope = {"the shop's schema": "larapos.*", "all": "*.*"}.get(on, on)
        sql(estate.source, f"REVOKE {privilege} ON {scope} FROM 'larapee-backup'@'localhost'")
        if without == "refused":
            with pytest.raises(BackupError, match="the account lacks"):
                estate.dump(check_mode=True)
        else:
            manifest = estate.dump().manifest
            assert manifest is not None
            assert manifest.document["ddl_guard"] == "fingerprint"
        sql(estate.source, f"GRANT {privilege} ON {scope} TO 'larapee-backup'@'localhost'")


def test_the_restorer_has_the_grants_of_the_table_and_needs_those_that_it_says(estate: Estate) -> None:
    rows = tables(PAGE, GRANTS)[1]
    names = accounts.RESTORER_GRANTS.split(", ")
    everywhere = accounts.RESTORER_GLOBAL_GRANTS.split(", ")
    assert {(privilege, on) for privilege, on, *_rest in rows} == {
        *((name, "the shop's schema") for name in names),
        *((name, "all") for name in everywhere),
    }
    plain = stock_dump(estate)
    for privilege, on, _why, without in rows:
        scope = {"the shop's schema": "larapos.*", "all": "*.*"}[on]
        sql(estate.target, f"DROP DATABASE IF EXISTS {DATABASE}; CREATE DATABASE {DATABASE}")
        sql(estate.target, f"REVOKE {privilege} ON {scope} FROM 'larapee-restore'@'localhost'")
        argv = ["mariadb", f"--defaults-file={estate.restorer_file}", "--default-character-set=utf8mb4", DATABASE]
        done = subprocess.run(argv, input=plain, capture_output=True)
        sql(estate.target, f"GRANT {privilege} ON {scope} TO 'larapee-restore'@'localhost'")
        assert ("the load works" if done.returncode == 0 else "the load fails") == without, privilege


def stock_dump(estate: Estate) -> bytes:
    manifest = estate.dump(encrypt=False, recipients=()).manifest
    assert manifest is not None
    argv = ["gzip", "-dc", estate.local / manifest.artifact]
    return subprocess.run(argv, capture_output=True, check=True).stdout


@pytest.mark.parametrize("page", sorted(DOCS.glob("*.md")), ids=lambda page: page.name)
def test_every_test_that_a_page_names_exists(page: Path) -> None:
    missing = []
    for place, name in re.findall(r"`([\w/]+\.py)::(\w+)`", page.read_text(encoding="utf-8")):
        path = next((base / place for base in (TOP, COLLECTION) if (base / place).is_file()), None)
        body = ast.parse(path.read_text(encoding="utf-8")).body if path else []
        if name not in {node.name for node in body if isinstance(node, ast.FunctionDef)}:
            missing.append(f"{place}::{name}")
    assert missing == []


def test_every_row_of_the_threat_model_names_a_test() -> None:
    rows = table(PAGE, "| who holds |")
    assert [row[0] for row in rows if len(row) != 4 or "::" not in row[3] or not row[2]] == []


@pytest.mark.parametrize("attacker", ATTACKERS)
def test_the_threat_model_thinks_of(attacker: str) -> None:
    assert [row[0] for row in table(PAGE, "| who holds |") if attacker in row[0]]
