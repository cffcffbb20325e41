# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The replay stops at the newest fingerprint before the point and compares; the preview names its receipt."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import pytest

from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError
from ansible_collections.larapee.backup.plugins.module_utils._names import companion_name
from ansible_collections.larapee.backup.plugins.module_utils._seal import seal_binlogs
from ansible_collections.larapee.backup.plugins.module_utils._seal_pack import SealRequest
from tests.database.estate import BRANCH, DATABASE, sql, stock_picture
from tests.pitr.sealed_shop import last_gtid

if TYPE_CHECKING:
    from ansible_collections.larapee.backup.plugins.module_utils._manifest import Manifest
    from tests.pitr.sealed_shop import SealedShop

RECEIPT = "SELECT CONCAT('B01-', LPAD(MAX(id), 4, '0')) FROM emptied"


def seal(shop: SealedShop, *, fingerprint: bool = True, **queries: str) -> Manifest:
    root = shop.source.write_option_file(shop.root / "binlog.cnf", user="root", password="")
    request = SealRequest(
        branch=BRANCH,
        database=DATABASE,
        option_file=str(root),
        dump_option_file=str(shop.operator_file),
        local_path=str(shop.local),
        state_path=str(shop.state),
        run_id=str(uuid.uuid4()),
        signing_key=str(shop.keys.signing_key),
        recipients=shop.keys.recipients,
        fingerprint=fingerprint,
        business_queries={"orders": "SELECT COUNT(*), SUM(total) FROM orders", **queries},
        receipt_query=RECEIPT,
    )
    outcome = seal_binlogs(request)
    assert outcome.manifest is not None, outcome
    assert not [warning for warning in outcome.warnings if "fingerprint" in warning]
    return outcome.manifest


@pytest.fixture
def sealed(shop: SealedShop) -> tuple[SealedShop, Manifest, Manifest]:
    """Two increments with a fingerprint each; the first sale came before the first, and so on."""
    shop.full()
    sql(shop.source, "INSERT INTO larapos.emptied VALUES (1)")
    first = seal(shop)
    sql(shop.source, "INSERT INTO larapos.emptied VALUES (2); CREATE VIEW larapos.v AS SELECT id FROM larapos.emptied")
    second = seal(shop)
    return shop, first, second


def test_the_newest_fingerprint_before_the_point_is_compared(sealed: tuple[SealedShop, Manifest, Manifest]) -> None:
    shop, first, second = sealed
    middle = f"gtid:{first.document['fingerprint']['gtid']}"
    for to, artifact, receipt in ((middle, first, "B01-0001"), ("latest", second, "B01-0002")):
        plan = shop.restore(to=to, check_mode=True, confirm=BRANCH).plan
        assert plan["fingerprint"]["artifact"] == artifact.artifact
        assert plan["fingerprint"]["receipt"] == receipt
        outcome = shop.restore(to=to, confirm=BRANCH)
        assert outcome.plan["compared"] == artifact.artifact
        assert outcome.seconds["compare"] > 0
    assert stock_picture(shop.target) == stock_picture(shop.source)


def test_it_goes_on_after_the_comparison(sealed: tuple[SealedShop, Manifest, Manifest]) -> None:
    shop, _first, second = sealed
    sql(shop.source, "INSERT INTO larapos.emptied VALUES (3)")
    seal(shop, fingerprint=False)
    outcome = shop.restore()
    assert outcome.plan["compared"] == second.artifact
    assert stock_picture(shop.target) == stock_picture(shop.source)


def test_a_point_before_any_fingerprint_has_no_receipt(shop: SealedShop) -> None:
    shop.full()
    sql(shop.source, "INSERT INTO larapos.emptied VALUES (1)")
    gtid = last_gtid(shop.source)
    sql(shop.source, "INSERT INTO larapos.emptied VALUES (2)")
    seal(shop)
    plan = shop.restore(to=f"gtid:{gtid}").plan
    assert plan["fingerprint"] is None
    assert plan["compared"] is None


def test_a_difference_fails_the_restore_and_spares_the_target(shop: SealedShop) -> None:
    """Rows that never went through the log: the replay cannot bring them back, and nobody would have noticed."""
    shop.full()
    sql(
        shop.source,
        "INSERT INTO larapos.emptied VALUES (1); SET sql_log_bin = 0; INSERT INTO larapos.emptied VALUES (9)",
    )
    seal(shop)
    with pytest.raises(BackupError, match="emptied: 1 rows instead of 2") as caught:
        shop.restore()
    assert caught.value.reason == "not_equal"
    assert sql(shop.target, "SHOW DATABASES LIKE 'larapos'") == ""
    assert shop.leftovers() == []


def test_a_question_to_a_view_whose_definer_only_the_source_has(shop: SealedShop) -> None:
    sql(shop.source, "CREATE USER 'till'@'10.0.0.%'; GRANT SELECT ON larapos.* TO 'till'@'10.0.0.%'")
    try:
        shop.full()
        sql(shop.source, "CREATE DEFINER='till'@'10.0.0.%' VIEW larapos.seen AS SELECT id FROM larapos.emptied")
        sql(shop.source, "INSERT INTO larapos.emptied VALUES (1)")
        sealed = seal(shop, seen="SELECT COUNT(*) FROM seen")
        assert shop.restore().plan["compared"] == sealed.artifact
    finally:
        sql(shop.source, "DROP USER 'till'@'10.0.0.%'")


def test_a_lost_fingerprint_is_said_and_an_older_one_is_compared(
    sealed: tuple[SealedShop, Manifest, Manifest],
) -> None:
    shop, first, second = sealed
    (shop.local / companion_name(second.artifact)).unlink()
    outcome = shop.restore()
    assert outcome.plan["compared"] == first.artifact
    assert any(f"The fingerprint of {second.artifact} was not compared" in warning for warning in outcome.warnings)
    assert stock_picture(shop.target) == stock_picture(shop.source)


def test_a_full_alone_that_differs_is_said(shop: SealedShop) -> None:
    """Rows that never went through the log: the full of one moment lies at the position of the other's fingerprint."""
    full = shop.dump().manifest
    assert full is not None
    assert shop.restore().plan["differences"] == []
    sql(shop.source, "SET sql_log_bin = 0; INSERT INTO larapos.emptied VALUES (9)")
    other = shop.dump().manifest
    assert other is not None
    companion, later = (shop.local / companion_name(each.artifact) for each in (full, other))
    companion.write_bytes(later.read_bytes())
    (shop.local / other.artifact).unlink()
    shop.rewrite(full, **{name: other.document[name] for name in ("companion", "fingerprint", "start", "end")})
    outcome = shop.restore(confirm=BRANCH)
    assert outcome.plan.get("compared") == full.artifact, outcome.warnings
    assert outcome.plan["differences"] == ["emptied: 0 rows instead of 1"]
    assert any("emptied: 0 rows instead of 1" in warning for warning in outcome.warnings)
