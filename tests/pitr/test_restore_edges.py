# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a reviewer broke once: moments of fulls, empty logs, other schemas, names in another case."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ansible_collections.larapee.backup.plugins.module_utils import _manifest
from tests.database.estate import sql, stock_picture

if TYPE_CHECKING:
    from tests.pitr.sealed_shop import SealedShop


def test_the_moment_of_a_full_is_a_time_like_any_other(shop: SealedShop) -> None:
    """What was committed between that moment and the snapshot is in the full, and did not exist yet."""
    shop.full()
    sql(shop.source, "INSERT INTO larapos.emptied VALUES (1)")
    # The next full's moment is a full second: what comes within it is later.
    sql(shop.source, "DO SLEEP(1.1 - (UNIX_TIMESTAMP(NOW(6)) % 1))")
    sql(shop.source, "INSERT INTO larapos.emptied VALUES (2)")
    second = shop.full()
    sql(shop.source, "DO SLEEP(1.1); INSERT INTO larapos.emptied VALUES (3)")
    shop.seal()
    outcome = shop.restore(to=_manifest.format_time(second.created_at))
    assert sql(shop.target, "SELECT id FROM larapos.emptied") == "1\n"
    assert outcome.plan["artifact"] != second.artifact


def test_a_preview_says_what_the_restore_does_when_the_increments_hold_nothing(shop: SealedShop) -> None:
    shop.full()
    shop.seal()
    last = shop.seal()
    preview = shop.restore(check_mode=True).plan
    done = shop.restore().plan
    assert {key: preview[key] for key in ("set", "recovery_point", "artifacts")} == {
        "set": last.set_number,
        "recovery_point": _manifest.format_time(last.recovery_point),
        "artifacts": done["artifacts"],
    }
    assert (done["set"], done["recovery_point"]) == (preview["set"], preview["recovery_point"])
    assert stock_picture(shop.target) == stock_picture(shop.source)


def test_routines_of_other_schemas_do_not_stop_the_replay(shop: SealedShop) -> None:
    sql(shop.source, "CREATE DATABASE other; CREATE DATABASE `even other`")
    try:
        shop.full()
        sql(
            shop.source,
            "USE other; CREATE PROCEDURE p() SELECT 1; CREATE FUNCTION `even other`.f() RETURNS INT RETURN 1; "
            "INSERT INTO larapos.emptied VALUES (1); DROP PROCEDURE p",
        )
        shop.seal()
        shop.restore()
        assert sql(shop.target, "SELECT id FROM larapos.emptied; SHOW DATABASES LIKE '%other'") == "1\n"
    finally:
        sql(shop.source, "DROP DATABASE other; DROP DATABASE `even other`")


def test_an_event_that_was_altered_under_another_case_runs_again(shop: SealedShop) -> None:
    shop.full()
    sql(shop.source, "ALTER EVENT larapos.TIDY COMMENT 'nightly'")
    sql(shop.source, "CREATE EVENT larapos.Off ON SCHEDULE EVERY 1 DAY DISABLE DO DO 1")
    shop.seal()
    shop.restore()
    found = "SELECT LOWER(EVENT_NAME), STATUS FROM information_schema.EVENTS WHERE EVENT_SCHEMA = 'larapos' ORDER BY 1"
    assert sql(shop.target, found) == sql(shop.source, found) == "off\tDISABLED\ntidy\tENABLED\n"


def test_an_answer_that_differs_is_told_and_does_not_stop_a_restore_of_equal_rows(shop: SealedShop) -> None:
    shop.dump(business_queries={"when": "SELECT NOW(6)"})
    sql(shop.source, "INSERT INTO larapos.emptied VALUES (1)")
    shop.seal()
    outcome = shop.restore()
    assert outcome.plan["compared"] is not None
    assert any("query when" in warning for warning in outcome.warnings)
    assert stock_picture(shop.target) == stock_picture(shop.source)


def test_a_sequence_that_was_altered_is_named(shop: SealedShop) -> None:
    """The server's replication thread skips the statement under a filter."""
    shop.full()
    sql(shop.source, "/* till 3 */ ALTER SEQUENCE larapos.receipts RESTART WITH 9000")
    sql(shop.source, "INSERT INTO larapos.emptied VALUES (1)")
    shop.seal()
    warnings = " ".join(shop.restore().warnings)
    assert "run it by hand on the target: " in warnings
    assert "ALTER SEQUENCE larapos.receipts RESTART WITH 9000" in warnings
