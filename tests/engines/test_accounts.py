# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each account does its work with exactly what it was given, and is refused everything else that was tried."""

from __future__ import annotations

import contextlib
import getpass
import os
import re
import shutil
import subprocess
import uuid
from typing import TYPE_CHECKING, Any

import pymysql
import pytest

from ansible_collections.larapee.backup.plugins.module_utils import _db_aside
from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError
from tests.engines.branch import BRANCH, PASSWORDS, Branch
from tests.engines.servers import installed

if TYPE_CHECKING:
    from pathlib import Path

    from tests.engines.branch import Keys
    from tests.engines.servers import Server

# The pattern of an unescaped pos_1 in GRANT would cover posx1 as well.
DATABASE = "pos_1"
SCHEMA = """
DROP DATABASE IF EXISTS pos_1; DROP DATABASE IF EXISTS posx1;
CREATE DATABASE pos_1; CREATE DATABASE posx1; CREATE TABLE posx1.wages (id INT PRIMARY KEY);
INSERT INTO posx1.wages VALUES (1);
USE pos_1;
CREATE TABLE orders (id INT AUTO_INCREMENT PRIMARY KEY, total DECIMAL(10,2), note TEXT);
CREATE TABLE items (id INT PRIMARY KEY, order_id INT, FOREIGN KEY (order_id) REFERENCES orders (id));
INSERT INTO orders (total, note) VALUES (12.50, 'café 😀'), (-3.10, NULL); INSERT INTO items VALUES (1, 1);
CREATE VIEW daily AS SELECT SUM(total) AS gross FROM orders;
CREATE TRIGGER late BEFORE INSERT ON orders FOR EACH ROW SET NEW.note = COALESCE(NEW.note, 'none');
CREATE DEFINER = 'nobody'@'nowhere' PROCEDURE close_day() SELECT SUM(total) FROM orders;
CREATE EVENT tidy ON SCHEDULE EVERY 1 DAY DO DELETE FROM items;
"""
# Refused for want of a privilege, whatever it is about.
DENIED = {1044, 1045, 1142, 1143, 1227, 1370, 1410}
MARIADB = installed().engine == "mariadb"
PASSWORDS_OF_OTHERS = (
    *("SELECT * FROM mysql.user", "SHOW CREATE USER root@localhost", "SHOW GRANTS FOR root@localhost"),
    *(["SELECT * FROM mysql.global_priv"] if MARIADB else ["SELECT authentication_string FROM mysql.user"]),
)
ADMINISTRATION = (
    *("CREATE USER thief@localhost", "GRANT SELECT ON pos_1.* TO nobody@localhost", "CREATE DATABASE posx2"),
    *("DROP DATABASE posx1", "SET GLOBAL max_connections = 5", "SET GLOBAL general_log = 1", "SHUTDOWN"),
    *(
        "SELECT 1 INTO OUTFILE '/tmp/larapee-stolen'",
        "SELECT LOAD_FILE('/etc/hostname') INTO DUMPFILE '/tmp/larapee-x'",
    ),
    *("PURGE BINARY LOGS BEFORE NOW()", "INSTALL PLUGIN x SONAME 'x.so'", "BINLOG 'AAAA'"),
    *(
        "ALTER USER root@localhost IDENTIFIED BY 'x'",
        "CREATE TABLE posx1.mine (i INT)",
        "UPDATE posx1.wages SET id = 2",
    ),
)
OTHER_SCHEMAS = ("SELECT * FROM posx1.wages", "INSERT INTO posx1.wages VALUES (9)", "SHOW CREATE TABLE posx1.wages")
BINARY_LOGS = ("SHOW BINLOG EVENTS",)
CHANGES = (
    *("INSERT INTO pos_1.orders (total) VALUES (1)", "UPDATE pos_1.orders SET total = 0", "DELETE FROM pos_1.orders"),
    *(
        "DROP TABLE pos_1.items",
        "TRUNCATE pos_1.items",
        "ALTER TABLE pos_1.orders ADD COLUMN i INT",
        "CALL pos_1.close_day()",
    ),
    *(
        "CREATE TABLE pos_1.mine (i INT)",
        "CREATE VIEW pos_1.w AS SELECT 1",
        "DROP DATABASE pos_1",
    ),
    *(
        "CREATE PROCEDURE pos_1.p() SELECT 1",
        "DROP PROCEDURE pos_1.close_day",
        "CREATE INDEX i ON pos_1.orders (total)",
    ),
)
# Servers know no right to see triggers and events apart from the right to change them, none to close a log apart from
# the right to reset all of them, and none to name a foreign definer apart from the right to become anybody.
RESET = "RESET MASTER" if MARIADB else "RESET BINARY LOGS AND GTIDS"
BECOME_ROOT = (
    "CREATE DEFINER = root@localhost PROCEDURE pos_1.rob() SQL SECURITY DEFINER SELECT COUNT(*) FROM mysql.user"
)
CANNOT_BE_SPLIT = {
    # MySQL keeps events of a system user such as root from all others, and has a right of its own to flush tables.
    "operator": ("DROP TRIGGER pos_1.late", *(["DROP EVENT pos_1.tidy", RESET] if MARIADB else [])),
    "binlog": (RESET,),
    "restorer": (BECOME_ROOT, "CALL pos_1.rob()"),
}
FORBIDDEN = {
    "operator": (
        *(*CHANGES, *ADMINISTRATION, *OTHER_SCHEMAS, *BINARY_LOGS, *PASSWORDS_OF_OTHERS),
        *([] if MARIADB else [RESET, "FLUSH BINARY LOGS", "DROP EVENT pos_1.tidy"]),
    ),
    "binlog": (
        *(*CHANGES, *ADMINISTRATION, *OTHER_SCHEMAS, *PASSWORDS_OF_OTHERS),
        *("SELECT * FROM pos_1.orders", "SELECT * FROM pos_1.daily", "SHOW CREATE PROCEDURE pos_1.close_day"),
    ),
    "restorer": (
        *(*ADMINISTRATION, *OTHER_SCHEMAS, *BINARY_LOGS, *PASSWORDS_OF_OTHERS),
        *("UPDATE pos_1.orders SET total = 0", "DELETE FROM pos_1.orders", "FLUSH BINARY LOGS"),
    ),
}
ASIDE = "pos_1_before_restore"
ASIDE_TOO = (
    *("CREATE DATABASE pos_1xbefore_restore", f"UPDATE {ASIDE}.orders SET total = 0", f"DELETE FROM {ASIDE}.orders"),
    *(f"CREATE VIEW {ASIDE}.w AS SELECT 1", f"CREATE PROCEDURE {ASIDE}.p() SELECT 1"),
)


@pytest.fixture
def branch(server: Server, keys: Keys, tmp_path: Path) -> Branch:
    server.sql(SCHEMA)
    for role in PASSWORDS:
        server.sql(f"DROP USER IF EXISTS 'larapee-{role}'@localhost")
    return Branch(source=server, target=server, keys=keys, root=tmp_path, database=DATABASE)


def connect(server: Server, role: str) -> pymysql.connections.Connection[pymysql.cursors.Cursor]:
    return server.connect(user=f"larapee-{role}", password=PASSWORDS[role])


def answer(branch: Branch, role: str, statement: str) -> int:
    """The number of the server's error, 0 for none."""
    with contextlib.closing(connect(branch.source, role)) as connection, connection.cursor() as cursor:
        try:
            cursor.execute(statement)
        except pymysql.MySQLError as error:
            return int(error.args[0])
    return 0


@pytest.mark.parametrize("role", sorted(FORBIDDEN))
def test_account_is_refused_all_that_is_not_its_work(branch: Branch, role: str) -> None:
    branch.account(role)
    before = branch.source.stock_dump(DATABASE)
    answers = {statement: answer(branch, role, statement) for statement in FORBIDDEN[role]}
    # What it cannot see does not exist for it.
    hidden = {"SHOW CREATE PROCEDURE pos_1.close_day": {1305}}
    assert {text: got for text, got in answers.items() if got not in DENIED | hidden.get(text, set())} == {}
    assert branch.source.stock_dump(DATABASE) == before


@pytest.mark.parametrize("role", sorted(CANNOT_BE_SPLIT))
def test_what_no_server_can_split_is_what_the_documents_warn_of(branch: Branch, role: str) -> None:
    """Where a release refuses one of these, docs/security.md has good news to tell."""
    branch.account(role)
    answers = {statement: answer(branch, role, statement) for statement in CANNOT_BE_SPLIT[role]}
    assert set(answers.values()) == {0}, answers


@pytest.mark.parametrize("role", ["operator", "restorer"])
def test_only_the_binlog_account_reads_binary_logs(branch: Branch, role: str) -> None:
    branch.account(role)
    branch.account("binlog")
    branch.source.sql("INSERT INTO posx1.wages VALUES (4711)")
    file = branch.source.position()[0]
    assert read_log(branch, "binlog", file).returncode == 0
    refused = read_log(branch, role, file)
    assert refused.returncode != 0
    assert b"denied" in refused.stderr


def read_log(branch: Branch, role: str, file: str) -> subprocess.CompletedProcess[bytes]:
    program = "mariadb-binlog" if MARIADB else "mysqlbinlog"
    argv = [program, f"--defaults-file={branch.option_file(role)}", "--read-from-remote-server", file]
    return subprocess.run(argv, capture_output=True, check=False)


@pytest.mark.parametrize(
    ("privilege", "needed_for"),
    [
        ("REPLICATION SLAVE", "read"),
        ("BINLOG MONITOR" if MARIADB else "REPLICATION CLIENT", "SHOW BINARY LOGS"),
        ("RELOAD", "FLUSH BINARY LOGS"),
    ],
    ids=["read", "list", "close"],
)
def test_binlog_account_needs_each_of_its_three(branch: Branch, privilege: str, needed_for: str) -> None:
    branch.account("binlog")
    assert attempt(branch, needed_for)
    branch.source.sql(f"REVOKE {privilege} ON *.* FROM 'larapee-binlog'@localhost")
    assert not attempt(branch, needed_for)
    assert branch.account("binlog").statements == [f"GRANT {privilege} ON *.* TO `larapee-binlog`@`localhost`"]
    assert attempt(branch, needed_for)


def attempt(branch: Branch, needed_for: str) -> bool:
    if needed_for == "read":
        return read_log(branch, "binlog", branch.source.position()[0]).returncode == 0
    return answer(branch, "binlog", needed_for) == 0


def test_dump_and_restore_work_with_exactly_these(branch: Branch) -> None:
    before = branch.source.stock_dump(DATABASE)
    branch.account("operator")
    branch.account("restorer")
    manifest = branch.dump().manifest
    assert manifest is not None
    assert manifest.document["ddl_guard"] == "block_ddl"
    assert manifest.document["objects"] == {
        **{"tables": 2, "views": 1, "sequences": 0},
        **{"triggers": 1, "routines": 1, "events": 1},
    }
    branch.source.sql("DELETE FROM items; DELETE FROM orders; DROP VIEW daily", database=DATABASE)
    branch.restore(confirm="branch-001")
    assert branch.source.stock_dump(DATABASE) == before


def test_what_is_there_goes_aside_and_comes_back_with_exactly_these(branch: Branch) -> None:
    branch.account("operator")
    branch.account("restorer", aside=ASIDE)
    assert not branch.account("restorer", aside=ASIDE).changed
    branch.dump()
    branch.source.sql("UPDATE orders SET note = 'later'", database=DATABASE)
    later = branch.source.stock_dump(DATABASE)
    assert _db_aside.keep(aside_request(branch)).changed
    branch.restore(confirm="branch-001")
    assert branch.source.stock_dump(DATABASE) != later
    assert _db_aside.bring_back(aside_request(branch)).changed
    assert branch.source.stock_dump(DATABASE) == later
    assert _db_aside.keep(aside_request(branch)).changed
    answers = {statement: answer(branch, "restorer", statement) for statement in (*FORBIDDEN["restorer"], *ASIDE_TOO)}
    assert {text: got for text, got in answers.items() if got not in DENIED} == {}
    branch.restore(confirm="branch-001")
    assert _db_aside.forget(aside_request(branch)).changed
    assert branch.source.sql(f"SHOW DATABASES LIKE '{ASIDE}'") == ""


def test_without_a_schema_for_it_nothing_is_put_aside(branch: Branch) -> None:
    branch.account("restorer", aside=ASIDE)
    branch.account("restorer")
    before = branch.source.stock_dump(DATABASE)
    with pytest.raises(BackupError, match=f"the account lacks .*ALTER ON `{ASIDE}`.*db_account") as caught:
        _db_aside.keep(aside_request(branch))
    assert caught.value.reason == "missing_privilege"
    assert branch.source.stock_dump(DATABASE) == before


def aside_request(branch: Branch) -> _db_aside.AsideRequest:
    return _db_aside.AsideRequest(
        branch=BRANCH,
        option_file=branch.option_file("restorer"),
        database=DATABASE,
        aside=ASIDE,
        state_path=str(branch.root / "state"),
        run_id=str(uuid.uuid4()),
        confirm=BRANCH,
    )


@pytest.mark.parametrize("role", sorted(PASSWORDS))
def test_second_time_changes_nothing(branch: Branch, role: str) -> None:
    assert branch.account(role).before == []
    again = branch.account(role)
    assert (again.changed, again.statements) == (False, [])
    assert again.before == again.after


@pytest.mark.parametrize("role", sorted(PASSWORDS))
def test_whatever_is_too_much_is_taken_away(branch: Branch, role: str) -> None:
    exact = branch.account(role).after
    who = f"'larapee-{role}'@localhost"
    branch.source.sql(
        f"DROP ROLE IF EXISTS helpers; CREATE ROLE helpers; GRANT INSERT ON posx1.* TO helpers; GRANT helpers TO {who};"
        f"GRANT ALL ON *.* TO {who} WITH GRANT OPTION; GRANT ALL ON pos_1.* TO {who}; GRANT SELECT ON posx1.* TO {who};"
        f"GRANT SELECT (id), UPDATE (id, total) ON pos_1.orders TO {who} WITH GRANT OPTION;"
        f"GRANT EXECUTE ON PROCEDURE pos_1.close_day TO {who}; GRANT PROXY ON root@localhost TO {who}"
    )
    assert answer(branch, role, "SELECT * FROM posx1.wages") == 0
    settled = branch.account(role)
    assert settled.changed
    assert "GRANT OPTION ON *.*" in settled.before
    assert settled.after == exact
    assert answer(branch, role, "SELECT * FROM posx1.wages") in DENIED
    assert branch.account(role).statements == []


def test_check_mode_tells_the_statements_and_runs_none(branch: Branch) -> None:
    planned = branch.account("operator", check_mode=True)
    assert branch.source.sql("SELECT COUNT(*) FROM mysql.user WHERE User = 'larapee-operator'") == "0\n"
    assert planned.statements == branch.account("operator").statements
    gone = branch.account("operator", present=False, check_mode=True)
    assert gone.statements == ["DROP USER `larapee-operator`@`localhost`"]
    assert not branch.account("operator").changed
    assert branch.account("operator", present=False).changed
    assert not branch.account("operator", present=False).changed


def test_new_password_replaces_the_old_one_and_no_log_statement_or_error_holds_either(
    branch: Branch, tmp_path: Path
) -> None:
    log = branch.source.directory / "general"
    branch.source.sql(f"SET GLOBAL general_log_file = '{log}'; SET GLOBAL general_log = ON")
    first = branch.account("operator")
    new = tmp_path / "new.password"
    new.touch(mode=0o600)
    new.write_text("n€w secret 'n' \"such\"", encoding="utf-8")
    second = branch.account("operator", password_file=str(new))
    assert second.changed
    assert second.before == second.after
    assert not branch.account("operator", password_file=str(new)).changed
    branch.source.connect(user="larapee-operator", password=new.read_text(encoding="utf-8")).close()
    with pytest.raises(pymysql.err.OperationalError):
        connect(branch.source, "operator")
    with pytest.raises(BackupError, match=r"error \d+, at ALTER USER .* \(a hash\)") as caught:
        branch.account("operator", option_file=powerless(branch))
    branch.source.sql("SET GLOBAL general_log = OFF")
    told = f"{first} {second} {caught.value}"
    logged = log.read_text(errors="replace")
    assert "larapee-operator" in told
    assert "larapee-operator" in logged
    for secret in (PASSWORDS["operator"], "n€w secret"):
        assert secret not in told + logged
    assert re.search(r"\*[0-9A-F]{40}|0x24412430|\$A\$", told) is None


def powerless(branch: Branch) -> str:
    """An option file of an account that may look at accounts, and not change them."""
    branch.source.sql(
        "DROP USER IF EXISTS looker@localhost; CREATE USER looker@localhost;GRANT SELECT ON mysql.* TO looker@localhost"
    )
    return str(branch.source.option_file(branch.root / "looker.cnf", user="looker"))


def test_login_by_socket_takes_the_operating_systems_user_and_no_other(branch: Branch) -> None:
    if not MARIADB:
        branch.source.sql("INSTALL PLUGIN auth_socket SONAME 'auth_socket.so'")
    branch.source.directory.chmod(0o711)
    name = "nobody" if os.geteuid() == 0 else getpass.getuser()
    branch.source.sql(f"DROP USER IF EXISTS {name}@localhost, 'another'@localhost")
    outcome = branch.account("binlog", name=name, password_file=None)
    branch.account("binlog", name="another", password_file=None)
    assert "logs in by socket" in outcome.after
    assert not branch.account("binlog", name=name, password_file=None).changed
    become = ["setpriv", "--reuid=65534", "--clear-groups"] if os.geteuid() == 0 else []
    argv = [*become, shutil.which(branch.source.sql_client) or "", "--no-defaults", f"--socket={branch.source.socket}"]
    query = ["--batch", "--skip-column-names", "--execute", "SELECT CURRENT_USER()"]
    own = subprocess.run([*argv, f"--user={name}", *query], capture_output=True, text=True, check=True)
    assert own.stdout == f"{name}@localhost\n"
    other = subprocess.run([*argv, "--user=another", *query], capture_output=True, text=True, check=False)
    assert "denied" in other.stderr
    changed = branch.account("binlog", name=name)
    assert "logs in by password" in changed.after
    branch.source.sql(f"DROP USER {name}@localhost, 'another'@localhost")


def test_account_that_comes_from_elsewhere_must_come_by_tls(branch: Branch) -> None:
    far: dict[str, Any] = {"host": "10.%"}
    assert "only by TLS" in branch.account("binlog", **far).after
    branch.source.sql("ALTER USER 'larapee-binlog'@'10.%' REQUIRE NONE")
    assert branch.account("binlog", **far).statements == ["ALTER USER `larapee-binlog`@`10.%` REQUIRE SSL"]
    assert not branch.account("binlog", **far).changed
    branch.account("binlog", present=False, **far)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"name": "root"}, "bad_name"),
        ({"name": ""}, "bad_name"),
        ({"name": "mysql.session"}, "bad_name"),
        ({"database": "mysql"}, "system_schema"),
        ({"password_file": "/dev/null"}, "insecure_file"),
        ({"role": "restorer", "aside": "mysql"}, "system_schema"),
        ({"aside": ASIDE}, "bad_name"),
    ],
    ids=["root", "nameless", "system", "schema", "password", "aside", "operator aside"],
)
def test_what_could_only_do_harm_is_refused(branch: Branch, changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(BackupError) as caught:
        branch.account(**{"role": "operator", **changes})
    assert caught.value.reason == reason
