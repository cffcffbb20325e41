# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a replay must bring back exactly, and what of other schemas it must leave alone; equality by stock tools."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.database.estate import sql, stock_picture
from tests.pitr.sealed_shop import current_log, groups_of, position

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.pitr.sealed_shop import SealedShop

OTHER = """
CREATE DATABASE other; CREATE DATABASE larapos2;
CREATE TABLE other.t (id INT PRIMARY KEY); INSERT INTO other.t VALUES (1);
"""


@pytest.fixture(autouse=True)
def others_are_gone(shop: SealedShop) -> Iterator[None]:
    yield
    sql(
        shop.source, "DROP DATABASE IF EXISTS other; DROP DATABASE IF EXISTS larapos2; DROP DATABASE IF EXISTS laraXpos"
    )
    sql(shop.target, "DROP DATABASE IF EXISTS drill; DROP DATABASE IF EXISTS larapos")


def round_trip(shop: SealedShop, text: str, *, delimiter: bool = False) -> str:
    """Run *text* after the full, seal, restore; returns the source's picture, which the target has to have."""
    shop.full()
    sql(shop.source, f"DELIMITER ;;\n{text}\nDELIMITER ;\n" if delimiter else text)
    shop.seal()
    before = stock_picture(shop.source)
    shop.restore()
    assert stock_picture(shop.target) == before
    return before


def test_statements_of_any_default_database(shop: SealedShop) -> None:
    """A database filter of the replay client loses some of these and lets others through."""
    sql(shop.source, OTHER)
    round_trip(
        shop,
        """
        USE other; TRUNCATE larapos.emptied;
        CREATE TABLE larapos.qualified (id INT PRIMARY KEY, v INT AS (id + 1) STORED);
        INSERT INTO larapos.qualified (id) VALUES (1), (2); RENAME TABLE larapos.qualified TO larapos.renamed;
        CREATE VIEW larapos.seen AS SELECT id FROM larapos.renamed;
        ALTER TABLE larapos.renamed ADD COLUMN w INT DEFAULT 3;
        CREATE TABLE from_lara AS SELECT id FROM larapos.orders;
        USE larapos; DROP TABLE other.t; CREATE TABLE other.made_here (i INT); INSERT INTO other.made_here VALUES (1);
        USE larapos2; CREATE TABLE near (i INT); INSERT INTO near VALUES (1);
        CREATE USER IF NOT EXISTS 'stranger'@'localhost'; GRANT SELECT ON larapos.* TO 'stranger'@'localhost';
        DROP USER 'stranger'@'localhost'; DROP DATABASE other;
        """,
    )
    assert sql(shop.target, "SHOW DATABASES LIKE 'other'; SHOW DATABASES LIKE 'larapos2'") == ""


def test_triggers_fire_once_and_cascades_reach_children(shop: SealedShop) -> None:
    round_trip(
        shop,
        """
        CREATE TABLE larapos.audit (id INT AUTO_INCREMENT PRIMARY KEY, what TEXT);;
        CREATE TRIGGER larapos.noted AFTER INSERT ON larapos.orders FOR EACH ROW
          INSERT INTO larapos.audit (what) VALUES (CONCAT('order ', NEW.id));;
        INSERT INTO larapos.orders (total, note) VALUES (1, NULL), (2, 'x');;
        DELETE FROM larapos.orders WHERE id = 1;;
        UPDATE larapos.orders SET total = total * 3;;
        """,
        delimiter=True,
    )
    assert sql(shop.target, "SELECT COUNT(*) FROM larapos.audit").strip() == "2"
    assert sql(shop.target, "SELECT COUNT(*) FROM larapos.order_items WHERE order_id = 1").strip() == "0"


def test_definers_that_do_not_exist(shop: SealedShop) -> None:
    """Neither on the scratch server nor on the target; the accounts are made only to look at the outcome."""
    accounts = "'gone'@'10.%', 'leaver'@'localhost'"
    sql(shop.source, f"CREATE USER {accounts}; GRANT ALL ON *.* TO {accounts}")
    sql(shop.source, "CREATE DEFINER='gone'@'10.%' VIEW larapos.old_view AS SELECT id FROM larapos.orders")
    shop.full()
    sql(
        shop.source,
        """
        DELIMITER ;;
        CREATE DEFINER='leaver'@'localhost' VIEW larapos.young AS SELECT o.id FROM larapos.orders o;;
        CREATE DEFINER='leaver'@'localhost' TRIGGER larapos.t2 BEFORE INSERT ON larapos.emptied
          FOR EACH ROW SET NEW.id = NEW.id;;
        CREATE DEFINER='leaver'@'localhost' FUNCTION larapos.one() RETURNS INT RETURN 1;;
        CREATE DEFINER='leaver'@'localhost' EVENT larapos.e9 ON SCHEDULE EVERY 1 HOUR DO SELECT 1;;
        """,
    )
    before = stock_picture(shop.source)
    sql(shop.source, f"DROP USER {accounts}")
    shop.seal()
    shop.restore()
    sql(shop.target, f"CREATE USER {accounts}; GRANT ALL ON *.* TO {accounts}")
    try:
        assert stock_picture(shop.target) == before
    finally:
        sql(shop.target, f"DROP USER {accounts}")


def test_events_keep_the_status_that_they_had(shop: SealedShop) -> None:
    sql(shop.source, "CREATE EVENT larapos.quiet ON SCHEDULE EVERY 1 DAY DISABLE DO SELECT 1")
    round_trip(
        shop,
        """
        CREATE EVENT larapos.fresh ON SCHEDULE EVERY 2 DAY DO SELECT 2;
        CREATE EVENT larapos.off ON SCHEDULE EVERY 2 DAY DISABLE DO SELECT 'ENABLE';
        CREATE EVENT larapos.away ON SCHEDULE EVERY 2 DAY DISABLE ON SLAVE DO SELECT 2;
        ALTER EVENT larapos.tidy COMMENT 'changed'; ALTER EVENT larapos.quiet RENAME TO larapos.quieter;
        USE larapos; CREATE EVENT later ON SCHEDULE EVERY 3 DAY DO SELECT 3; ALTER EVENT later DISABLE;
        """,
    )
    listed = sql(shop.target, "SELECT EVENT_NAME, STATUS FROM information_schema.EVENTS ORDER BY 1").splitlines()
    assert [line.split("\t") for line in listed] == [
        ["away", "SLAVESIDE_DISABLED"],
        ["fresh", "ENABLED"],
        ["later", "DISABLED"],
        ["off", "DISABLED"],
        ["quieter", "DISABLED"],
        ["tidy", "ENABLED"],
    ]


def test_events_as_they_were_at_the_stop_not_at_the_end_of_its_file(shop: SealedShop) -> None:
    sql(
        shop.source, "CREATE EVENT larapos.early ON SCHEDULE EVERY 1 DAY DO SELECT 1; ALTER EVENT larapos.early DISABLE"
    )
    shop.full()
    sql(shop.source, "ALTER EVENT larapos.early COMMENT 'still off'; ALTER EVENT larapos.tidy DISABLE")
    file, offset = position(shop.source)
    before = stock_picture(shop.source)
    sql(shop.source, "ALTER EVENT larapos.early ENABLE; ALTER EVENT larapos.tidy ENABLE")
    shop.seal()
    shop.restore(to=f"{file}:{offset}")
    assert stock_picture(shop.target) == before


def test_a_one_time_event_whose_time_came_after_the_full(shop: SealedShop) -> None:
    """The full has it, the log drops it: it must be there to be dropped, although its time is over now."""
    sql(
        shop.source,
        "CREATE EVENT larapos.once ON SCHEDULE AT CURRENT_TIMESTAMP + INTERVAL 5 SECOND DISABLE DO SELECT 1",
    )
    shop.full()
    sql(shop.source, "DO SLEEP(6); DROP EVENT larapos.once; INSERT INTO larapos.emptied VALUES (7)")
    shop.seal()
    before = stock_picture(shop.source)
    shop.restore()
    assert stock_picture(shop.target) == before


def test_temporary_tables_sequences_and_tables_without_transactions(shop: SealedShop) -> None:
    sql(shop.source, "CREATE TABLE larapos.notes (id INT PRIMARY KEY, note TEXT) ENGINE = MyISAM")
    round_trip(
        shop,
        """
        CREATE TEMPORARY TABLE larapos.tt (i INT); INSERT INTO larapos.tt VALUES (5);
        INSERT INTO larapos.emptied SELECT i FROM larapos.tt;
        DO NEXTVAL(larapos.receipts); DO NEXTVAL(larapos.receipts); CREATE SEQUENCE larapos.second START WITH 9 CACHE 5;
        DO NEXTVAL(larapos.second);
        INSERT INTO larapos.notes VALUES (1, 'a'); REPLACE INTO larapos.notes VALUES (1, 'b'), (2, 'c');
        BEGIN; INSERT INTO larapos.notes VALUES (3, 'kept'); INSERT INTO larapos.emptied VALUES (99); ROLLBACK;
        DROP TEMPORARY TABLE larapos.tt;
        """,
    )
    assert sql(shop.target, "SELECT COUNT(*) FROM larapos.notes; SELECT COUNT(*) FROM larapos.emptied") == "3\n1\n"


def test_two_phase_transactions(shop: SealedShop) -> None:
    round_trip(
        shop,
        """
        XA START 'a'; INSERT INTO larapos.emptied VALUES (1); XA END 'a'; XA PREPARE 'a'; XA COMMIT 'a';
        XA START 'b'; INSERT INTO larapos.emptied VALUES (2); XA END 'b'; XA PREPARE 'b'; XA ROLLBACK 'b';
        XA START 'c'; INSERT INTO larapos.emptied VALUES (3); XA END 'c'; XA COMMIT 'c' ONE PHASE;
        """,
    )
    assert sql(shop.target, "SELECT GROUP_CONCAT(id) FROM larapos.emptied").strip() == "1,3"


def test_large_rows_and_a_compressed_log(shop: SealedShop) -> None:
    sql(shop.source, "SET GLOBAL log_bin_compress = 1")
    try:
        shop.full()
        sql(
            shop.source,
            "USE larapos; INSERT INTO larapos.orders (note, slip) SELECT 'big', REPEAT(UNHEX('00FF270A41'), 4194304);"
            "UPDATE larapos.orders SET slip = CONCAT(slip, 'x') WHERE note = 'big';"
            "CREATE TABLE larapos.long_words (id INT PRIMARY KEY, w LONGTEXT);"
            "INSERT INTO larapos.long_words SELECT seq, REPEAT('wört ', 1000) FROM seq_1_to_200",
        )
        shop.seal()
    finally:
        sql(shop.source, "SET GLOBAL log_bin_compress = 0")
    shop.restore()
    query = (
        "SELECT id, LENGTH(slip), MD5(slip) FROM larapos.orders; SELECT MD5(GROUP_CONCAT(w)) FROM larapos.long_words"
    )
    assert sql(shop.target, query) == sql(shop.source, query)
    assert "20971521" in sql(shop.target, query)


def test_accounts_of_the_source_do_not_become_those_of_the_scratch_server(shop: SealedShop) -> None:
    """Also not its administrator's password: the scratch server would refuse us."""
    shop.full()
    sql(shop.source, "CREATE USER 'larapee-restore'@'localhost' IDENTIFIED BY 'x'; CREATE USER 'root'@'127.0.0.9'")
    sql(shop.source, "INSERT INTO larapos.emptied VALUES (1); ALTER USER root@localhost IDENTIFIED BY 'x'")
    back = ["/usr/bin/mariadb", "--no-defaults", f"--socket={shop.source.socket}", "--user=root", "--password=x"]
    subprocess.run([*back, "-e", "ALTER USER root@localhost IDENTIFIED BY ''"], check=True)
    name = current_log(shop.source)
    shop.seal()
    groups = list(groups_of(next(shop.root.glob(f"spool-*/{name}"))))
    sql(shop.source, "DROP USER 'larapee-restore'@'localhost', 'root'@'127.0.0.9'")
    shop.restore(to=f"{name}:{groups[-2].end}")
    assert sql(shop.target, "SELECT id FROM larapos.emptied").strip() == "1"


def test_a_schema_of_another_name_on_a_strict_target(shop: SealedShop) -> None:
    sql(shop.target, "GRANT ALL ON drill.* TO 'larapee-restore'@'localhost'; SET GLOBAL gtid_strict_mode = 1")
    try:
        shop.full()
        sql(
            shop.source,
            "INSERT INTO larapos.emptied VALUES (4); CREATE VIEW larapos.v AS SELECT id FROM larapos.orders",
        )
        shop.seal()
        shop.restore(database="drill")
    finally:
        sql(shop.target, "SET GLOBAL gtid_strict_mode = 0")
    assert stock_picture(shop.target, "drill") == stock_picture(shop.source)
    assert sql(shop.target, "SHOW DATABASES LIKE 'larapos'") == ""


def test_a_schema_whose_name_is_a_pattern(shop: SealedShop) -> None:
    """`lara_pos` must not take what happened in `laraXpos` along."""
    for server in (shop.source, shop.target):
        sql(server, "DROP DATABASE IF EXISTS lara_pos")
    sql(shop.source, "CREATE DATABASE lara_pos; CREATE DATABASE laraXpos; CREATE TABLE lara_pos.t (id INT PRIMARY KEY)")
    sql(shop.source, "GRANT SELECT, SHOW VIEW, TRIGGER, EVENT ON `lara\\_pos`.* TO 'larapee-backup'@'localhost'")
    sql(shop.target, "GRANT ALL ON `lara\\_pos`.* TO 'larapee-restore'@'localhost'")
    shop.full(database="lara_pos")
    sql(shop.source, "CREATE TABLE laraXpos.t (id INT PRIMARY KEY); INSERT INTO laraXpos.t VALUES (1)")
    sql(shop.source, "INSERT INTO lara_pos.t VALUES (2)")
    shop.seal(edit=lambda document: document.update(database="lara_pos"))
    shop.restore(database="lara_pos")
    assert stock_picture(shop.target, "lara_pos") == stock_picture(shop.source, "lara_pos")
    for server in (shop.source, shop.target):
        sql(server, "DROP DATABASE lara_pos")


def test_the_target_may_be_replaced_with_the_branchs_code(shop: SealedShop) -> None:
    shop.full()
    sql(shop.source, "INSERT INTO larapos.emptied VALUES (1)")
    shop.seal()
    sql(shop.target, "CREATE DATABASE larapos; CREATE TABLE larapos.stale (i INT)")
    shop.restore(confirm="branch-001")
    assert stock_picture(shop.target) == stock_picture(shop.source)


def test_the_target_writes_what_it_is_given_into_its_own_log(shop: SealedShop) -> None:
    """No statement of the source's log is run there: a restorer needs no right to replay."""
    shop.full()
    sql(shop.source, "INSERT INTO larapos.emptied VALUES (1)")
    shop.seal()
    log = current_log(shop.target)
    shop.restore()
    shown = sql(shop.target, f"SHOW BINLOG EVENTS IN '{log}'")
    assert "larapee_backup_unfinished_restore" in shown
    assert {line.split("\t")[3] for line in shown.splitlines()} == {"2"}
