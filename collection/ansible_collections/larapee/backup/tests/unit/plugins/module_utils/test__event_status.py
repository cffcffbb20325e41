# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which events run, according to the statements in the binary log."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.larapee.backup.plugins.module_utils._binlog import _event_status
from ansible_collections.larapee.backup.plugins.module_utils._binlog._event_status import EventStatuses

EVERY = "ON SCHEDULE EVERY 1 DAY"


def after(*statements: str, database: str = "shop", **initial: str) -> dict[str, str]:
    statuses = EventStatuses("shop", initial)
    for statement in statements:
        assert _event_status.concerns_events(statement)
        statuses.apply(database, statement)
    return statuses.result()


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        (f"CREATE EVENT e {EVERY} DO SELECT 1", "ENABLED"),
        (f"create definer=`root`@`localhost` event `e` {EVERY} do select 1", "ENABLED"),
        (f"CREATE DEFINER=root@127.0.0.1 EVENT e {EVERY} DO SELECT 1", "ENABLED"),
        (f"CREATE DEFINER='a''b'@'%' EVENT e {EVERY} DISABLE DO SELECT 1", "DISABLED"),
        (f"CREATE DEFINER=CURRENT_USER() EVENT e {EVERY} DISABLE DO SELECT 1", "DISABLED"),
        (f"CREATE OR REPLACE DEFINER=`event`@`event` EVENT e {EVERY} DISABLE DO SELECT 1", "DISABLED"),
        (f"CREATE EVENT IF NOT EXISTS e {EVERY} DISABLE ON SLAVE DO SELECT 1", "SLAVESIDE_DISABLED"),
        (f"CREATE EVENT e {EVERY} DISABLE ON REPLICA COMMENT 'x' DO SELECT 1", "SLAVESIDE_DISABLED"),
        (f"CREATE EVENT e {EVERY} ON COMPLETION NOT PRESERVE DISABLE DO SELECT 1", "DISABLED"),
        (f"CREATE EVENT e {EVERY} ON COMPLETION PRESERVE ENABLE DO ALTER EVENT e DISABLE", "ENABLED"),
        (f"CREATE EVENT e {EVERY} COMMENT 'DISABLE DO ''x''' ENABLE DO SELECT 1", "ENABLED"),
        (f'CREATE EVENT e {EVERY} COMMENT "it\\"s DISABLE" DO SELECT 1', "ENABLED"),
        (f"CREATE EVENT e {EVERY} ENABLE /* DISABLE */ -- DISABLE\n# DISABLE\n DO SELECT 1", "ENABLED"),
        ("CREATE EVENT e ON SCHEDULE AT (SELECT MAX(disable) FROM t) DO SELECT 1", "ENABLED"),
        (f"/*!50106 CREATE*/ /*!50117 DEFINER=`r`@`l`*/ /*!50106 EVENT `e` {EVERY} DISABLE DO SELECT 1 */", "DISABLED"),
        (f"SET STATEMENT max_statement_time=5 FOR CREATE EVENT e {EVERY} DISABLE DO SELECT 1", "DISABLED"),
        (f"CREATE EVENT shop.e {EVERY} DISABLE DO SELECT 1", "DISABLED"),
        (f"CREATE EVENT `shop` . `e` {EVERY} DISABLE DO SELECT 1", "DISABLED"),
        (f'CREATE EVENT "e" {EVERY} DISABLE DO SELECT 1', "DISABLED"),
        (f"CREATE EVENT e {EVERY} DISABLE DO SELECT '" + "cut off", "DISABLED"),
    ],
)
def test_created(statement: str, expected: str) -> None:
    assert after(statement) == {"e": expected}


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("ALTER EVENT e DISABLE", {"e": "DISABLED"}),
        ("ALTER DEFINER=`a`@`b` EVENT e DISABLE ON SLAVE", {"e": "SLAVESIDE_DISABLED"}),
        ("ALTER EVENT IF EXISTS e DISABLE", {"e": "DISABLED"}),
        ("ALTER EVENT E DISABLE", {"e": "DISABLED"}),
        ("ALTER EVENT e ON SCHEDULE EVERY 2 HOUR DO SELECT 'DISABLE'", {"e": "ENABLED"}),
        ("ALTER EVENT e RENAME TO f", {"f": "ENABLED"}),
        ("ALTER EVENT e RENAME TO `do` DISABLE DO SELECT 1", {"do": "DISABLED"}),
        ("ALTER EVENT e RENAME TO other.f", {}),
        ("ALTER EVENT other.x RENAME TO shop.f DISABLE", {"e": "ENABLED", "f": "DISABLED"}),
        ("ALTER EVENT other.e DISABLE", {"e": "ENABLED"}),
        ("DROP EVENT e", {}),
        ("DROP EVENT IF EXISTS shop.`e`", {}),
        ("DROP EVENT IF EXISTS other.e", {"e": "ENABLED"}),
        ("DROP EVENT IF EXISTS missing", {"e": "ENABLED"}),
        ("DROP DATABASE IF EXISTS `shop`", {}),
        ("DROP SCHEMA other", {"e": "ENABLED"}),
        ("CREATE OR REPLACE DATABASE shop", {}),
        (f"CREATE EVENT IF NOT EXISTS e {EVERY} DISABLE DO SELECT 1", {"e": "ENABLED"}),
        (f"CREATE OR REPLACE EVENT e {EVERY} DISABLE DO SELECT 1", {"e": "DISABLED"}),
        (f"CREATE EVENT `e``2` {EVERY} DO SELECT 1", {"e": "ENABLED", "e`2": "ENABLED"}),
    ],
)
def test_changed(statement: str, expected: dict[str, str]) -> None:
    assert after(statement, e="ENABLED") == expected


def test_the_default_database_says_whose_an_event_is() -> None:
    assert after(f"CREATE EVENT e {EVERY} DO SELECT 1", database="other") == {}
    assert after(f"CREATE EVENT shop.e {EVERY} DO SELECT 1", database="") == {"e": "ENABLED"}
    assert after("ALTER EVENT shop.e RENAME TO f", database="other", e="DISABLED") == {}
    assert after("ALTER EVENT e RENAME TO shop.f DISABLE", database="other") == {"f": "DISABLED"}


def test_the_words_of_newer_releases() -> None:
    assert after("ALTER EVENT e COMMENT 'x'", e="REPLICA_SIDE_DISABLED") == {"e": "SLAVESIDE_DISABLED"}


def test_a_status_lasts_until_it_is_changed() -> None:
    history = ["ALTER EVENT e DISABLE", "ALTER EVENT e RENAME TO f", "ALTER EVENT f ON SCHEDULE EVERY 3 DAY"]
    assert after(*history, e="ENABLED") == {"f": "DISABLED"}
    assert after(*history, "ALTER EVENT F ENABLE", e="ENABLED") == {"f": "ENABLED"}


@pytest.mark.parametrize(
    "statement",
    [
        "",
        "CREATE TABLE event (i INT)",
        "CREATE DEFINER=`a`@`b` TRIGGER event BEFORE INSERT ON t FOR EACH ROW SET @a = 1",
        "CREATE DEFINER=`a`@`b` PROCEDURE p() ALTER EVENT e DISABLE",
        "CREATE DATABASE shop",
        "DROP TABLE event",
        "/* ALTER EVENT e DISABLE */ TRUNCATE t",
        "INSERT INTO t VALUES ('DROP EVENT e')",
    ],
)
def test_other_statements_change_nothing(statement: str) -> None:
    assert not _event_status.concerns_events(statement)
    statuses = EventStatuses("shop", {"e": "ENABLED"})
    statuses.apply("shop", statement)
    assert statuses.result() == {"e": "ENABLED"}


@given(text=st.text(alphabet="`\"'()/*!#-\n \\.@=aEdo,", max_size=60), cut=st.integers(0, 60))
def test_nothing_stops_the_reader(text: str, cut: int) -> None:
    statuses = EventStatuses("shop", {})
    for statement in (text, f"CREATE EVENT {text}", f"ALTER DEFINER={text}", f"CREATE EVENT e {text}"):
        statuses.apply("shop", statement[:cut])
        statuses.apply("shop", statement)
