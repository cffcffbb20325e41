# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Full, verification and restore on a real MySQL server, compared by what is not ours."""

from __future__ import annotations

import re
import threading
import time
from typing import TYPE_CHECKING

import pytest

from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError
from tests.acceptance.mysql_shop import DATABASE, OBJECTS, OPERATOR, Shop, picture

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.engines.branch import Keys
    from tests.engines.servers import MysqlServer


@pytest.mark.parametrize(("compression", "ending"), [("gzip", ".sql.gz.age"), ("zstd", ".sql.zst.age")])
def test_everything_comes_back(shop: Shop, compression: str, ending: str) -> None:
    before = picture(shop.source)
    document = shop.document(compression=compression)
    assert (document["engine"], document["objects"]) == ("mysql", OBJECTS)
    assert document["artifact"].endswith(ending)
    assert document["ddl_guard"] == "block_ddl"
    outcome = shop.verify()
    assert (outcome.failures, outcome.counts()["opened"]["OK"]) == ([], 1)

    shop.restore()
    assert picture(shop.target) == before

    shop.target.sql("CREATE TABLE later (i INT); DELETE FROM orders; DROP PROCEDURE close_day", database=DATABASE)
    with pytest.raises(BackupError, match="set larapee_backup_restore_confirm to branch-001"):
        shop.restore()
    shop.restore(confirm="branch-001")
    assert picture(shop.target) == before


def test_the_manifest_names_the_exact_position_the_server_stands_at(shop: Shop) -> None:
    position = shop.document()["start"]
    file, offset, _do, _ignore, gtids = shop.source.sql("SHOW BINARY LOG STATUS").replace("\\n", "").split("\t")
    executed = shop.source.sql("SELECT REPLACE(@@GLOBAL.gtid_executed, '\\n', '')").strip()
    assert (position["file"], position["position"], position["gtid"]) == (file, int(offset), executed)
    assert gtids.strip() == executed
    shop.source.sql("INSERT INTO orders (total) VALUES (1)", database=DATABASE)
    later = shop.document()["start"]
    assert later["position"] > position["position"]
    assert later["gtid"] != position["gtid"]


def test_the_rows_are_those_of_the_position_while_orders_go_on(shop: Shop) -> None:
    """Each order is one transaction, so that GTIDs count them."""
    rows = int(shop.source.sql("SELECT COUNT(*) FROM orders", database=DATABASE))
    executed = shop.source.sql("SELECT @@GLOBAL.gtid_executed")
    stop = threading.Event()

    def sell() -> None:
        while not stop.is_set():
            shop.source.sql("INSERT INTO orders (total) VALUES (1);" * 50, database=DATABASE)

    seller = threading.Thread(target=sell)
    seller.start()
    try:
        while int(shop.source.sql("SELECT COUNT(*) FROM orders", database=DATABASE)) < rows + 50:
            time.sleep(0.02)
        document = shop.document()
    finally:
        stop.set()
        seller.join()
    sold = _last_number(document["start"]["gtid"]) - _last_number(executed)
    assert sold >= 50
    shop.restore()
    assert int(shop.target.sql("SELECT COUNT(*) FROM orders", database=DATABASE)) == rows + sold


def _last_number(gtids: str) -> int:
    return int(re.findall(r"\d+", gtids)[-1])


@pytest.mark.parametrize(
    ("arguments", "has_position"),
    [
        (("--server-id=3", "--gtid-mode=OFF"), True),
        (("--server-id=3", "--skip-log-bin", "--gtid-mode=OFF"), False),
        (("--server-id=3", "--skip-log-bin"), False),
    ],
)
def test_servers_without_gtid_or_without_binary_log(
    make_server: Callable[..., MysqlServer],
    target: MysqlServer,
    keys: Keys,
    tmp_path: Path,
    arguments: tuple[str, ...],
    has_position: bool,
) -> None:
    with make_server(*arguments) as source:
        shop = Shop(source=source, target=target, keys=keys, root=tmp_path)
        before = picture(source)
        position = shop.document()["start"]
        if has_position:
            file, offset = source.sql("SHOW BINARY LOG STATUS").split("\t")[:2]
            assert (position["file"], position["position"], position["gtid"]) == (file, int(offset), None)
        else:
            assert set(position) == {"time"}
        shop.restore()
        assert picture(target) == before


def test_caching_sha2_password_works_over_the_socket_when_the_server_has_nothing_cached(shop: Shop) -> None:
    shop.source.sql("FLUSH PRIVILEGES")
    plugins = shop.source.sql("SELECT DISTINCT plugin FROM mysql.user WHERE user = 'larapee-operator'")
    assert plugins.split() == ["caching_sha2_password"]
    assert shop.dump().manifest is not None


def test_privileges_that_come_by_a_role_count(shop: Shop) -> None:
    shop.source.sql(
        "DROP ROLE IF EXISTS backup_reader; CREATE ROLE backup_reader;"
        f"GRANT SELECT, SHOW VIEW, TRIGGER, EVENT ON {DATABASE}.* TO backup_reader;"
        "GRANT RELOAD, REPLICATION CLIENT, SHOW_ROUTINE, BACKUP_ADMIN ON *.* TO backup_reader;"
        f"REVOKE ALL, GRANT OPTION FROM {OPERATOR}; GRANT backup_reader TO {OPERATOR};"
        f"SET DEFAULT ROLE backup_reader TO {OPERATOR}"
    )
    assert shop.document()["objects"] == OBJECTS


def test_an_empty_database_is_a_full_like_any_other(shop: Shop) -> None:
    shop.source.sql(f"DROP DATABASE {DATABASE}; CREATE DATABASE {DATABASE} CHARACTER SET utf8mb4 COLLATE utf8mb4_bin")
    assert set(shop.document()["objects"].values()) == {0}
    shop.restore()
    query = f"SELECT DEFAULT_COLLATION_NAME FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = '{DATABASE}'"
    assert shop.target.sql(query).strip() == "utf8mb4_bin"


def test_a_restored_server_starts_a_new_epoch(shop: Shop) -> None:
    """The restore writes to a server that takes part in the branch's life: here the very one."""
    first = shop.document()
    same = Shop(source=shop.source, target=shop.source, keys=shop.keys, root=shop.root)
    same.restore(confirm="branch-001")
    second = same.document()
    assert second["epoch"] != first["epoch"]
    assert second["epoch_reason"] == f"restored from {first['artifact']}"
