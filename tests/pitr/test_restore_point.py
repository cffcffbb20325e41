# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Restores to a time, a GTID, a position, a set: what is before the point is there, what comes after it is not."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import pytest

from ansible_collections.larapee.backup.plugins.module_utils import _manifest, _tip
from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError
from ansible_collections.larapee.backup.plugins.module_utils._tip import TipRequest
from tests.database.estate import BRANCH, sql, stock_picture
from tests.pitr.sealed_shop import at, groups_of, last_gtid, position

if TYPE_CHECKING:
    from tests.pitr.sealed_shop import SealedShop

DAY = "2027-03-01"


def moment(time: str) -> dt.datetime:
    return _manifest.parse_time(f"{DAY}T{time}Z")


def order(shop: SealedShop, number: int, time: str) -> str:
    """Commit one order at a time of that day; returns its GTID."""
    return at(shop.source, f"{DAY}T{time}Z", f"INSERT INTO larapos.emptied VALUES ({number})")


def orders(shop: SealedShop) -> list[int]:
    return [int(line) for line in sql(shop.target, "SELECT id FROM larapos.emptied ORDER BY id").splitlines()]


def restored(shop: SealedShop, to: str) -> list[int]:
    """What is there after a restore to *to*; the preview promises the same point."""
    sql(shop.target, "DROP DATABASE IF EXISTS larapos")
    plan = shop.restore(to=to, check_mode=True).plan
    done = shop.restore(to=to).plan
    keys = ("position", "artifacts", "recovery_point", "next_transaction", "transactions", "lost")
    assert {key: plan[key] for key in keys} == {key: done[key] for key in keys}
    assert shop.leftovers() == []
    return orders(shop)


def refused(shop: SealedShop, to: str, match: str, *, reason: str = "target_out_of_reach") -> BackupError:
    before = sql(shop.target, "SHOW DATABASES LIKE 'larapos'")
    errors = []
    for check_mode in (True, False):
        with pytest.raises(BackupError, match=match) as caught:
            shop.restore(to=to, check_mode=check_mode, confirm=BRANCH)
        assert caught.value.reason == reason
        errors.append(str(caught.value))
    assert errors[0] == errors[1]
    assert sql(shop.target, "SHOW DATABASES LIKE 'larapos'") == before
    assert shop.leftovers() == []
    return caught.value


@pytest.fixture
def day(shop: SealedShop) -> SealedShop:
    """A full at 8, sales around noon with several in one second, two increments."""
    full = shop.full()
    shop.rewrite(full, created_at=f"{DAY}T08:00:00Z", snapshot_at=f"{DAY}T08:00:02Z")
    order(shop, 1, "11:59:58")
    order(shop, 2, "11:59:59")
    order(shop, 3, "12:00:00")
    order(shop, 4, "12:00:00")
    shop.seal(now=moment("12:00:00"))
    order(shop, 5, "12:00:00")
    order(shop, 6, "12:00:01")
    order(shop, 7, "12:30:00")
    shop.seal(now=moment("13:00:00"))
    return shop


@pytest.mark.parametrize(
    ("to", "there"),
    [
        ("2027-03-01T08:00:02Z", []),
        ("2027-03-01T11:59:59Z", [1]),
        ("2027-03-01T12:00:00Z", [1, 2]),
        ("2027-03-01T12:00:01Z", [1, 2, 3, 4, 5]),
        ("2027-03-01T12:00:02Z", [1, 2, 3, 4, 5, 6]),
        ("2027-03-01T13:00:00Z", [1, 2, 3, 4, 5, 6, 7]),
    ],
)
def test_a_time_takes_what_came_before_that_second_and_nothing_of_it(
    day: SealedShop, to: str, there: list[int]
) -> None:
    assert restored(day, to) == there


def test_a_gtid_and_a_position_take_that_transaction_too(shop: SealedShop) -> None:
    shop.full()
    first = order(shop, 1, "09:00:00")
    file, offset = position(shop.source)
    before = stock_picture(shop.source)
    order(shop, 2, "09:00:00")
    shop.seal()
    third = order(shop, 3, "09:00:01")
    shop.seal()
    assert restored(shop, f"gtid:{first}") == [1]
    assert stock_picture(shop.target) == before
    assert restored(shop, f"{file}:{offset}") == [1]
    assert restored(shop, f"gtid:{third}") == [1, 2, 3]


def test_the_preview_names_the_transactions_around_the_point(day: SealedShop) -> None:
    plan = day.restore(to=f"{DAY}T12:00:01Z", check_mode=True).plan
    last, following = plan["position"], plan["next_transaction"]
    assert (last["time"], following["time"]) == (f"{DAY}T12:00:00Z", f"{DAY}T12:00:01Z")
    assert following["gtid"] in plan["lost"]
    assert plan["fingerprint"] is None
    assert plan["expected"]["seconds"] > 0
    assert plan["expected"]["measured"] is False
    assert restored(day, f"gtid:{last['gtid']}") == [1, 2, 3, 4, 5]
    assert restored(day, f"gtid:{following['gtid']}") == [1, 2, 3, 4, 5, 6]


def test_a_set_is_the_end_of_its_run(shop: SealedShop) -> None:
    shop.full()
    order(shop, 1, "09:00:00")
    number = shop.seal().set_number
    order(shop, 2, "09:00:01")
    shop.seal()
    assert restored(shop, f"set:{number}") == [1]
    assert restored(shop, f"set:{number - 1}") == []
    refused(shop, f"set:{number + 2}", "nothing here reaches that point")


def test_a_position_within_a_transaction_is_refused_with_both_edges(shop: SealedShop) -> None:
    shop.full()
    order(shop, 1, "09:00:00")
    file, start = position(shop.source)
    order(shop, 2, "09:00:01")
    end = position(shop.source)[1]
    shop.seal()
    refused(shop, f"{file}:{start + 1}", f"Give {file}:{start} to stop before it, or {file}:{end} to have it")
    refused(shop, f"{file}:{end - 1}", f"Give {file}:{start} to stop before it, or {file}:{end} to have it")
    assert restored(shop, f"{file}:{start}") == [1]


def test_a_time_beyond_what_can_be_had_is_refused_with_the_nearest(day: SealedShop) -> None:
    refused(day, f"{DAY}T13:00:01Z", f"nearest that can be had is {DAY}T13:00:00Z")
    refused(day, f"{DAY}T07:59:59Z", f"nearest that can be had is {DAY}T08:00:00Z")
    refused(day, "2027-03-01 12:00:00", "a time in UTC such as")
    refused(day, "2027-03-01T12:00:00+02:00", "a time in UTC such as")


def test_a_gtid_that_is_not_there_is_refused(day: SealedShop) -> None:
    domain, server, number = last_gtid(day.source).split("-")
    refused(day, f"gtid:{domain}-{server}-{int(number) + 1}", "nothing here reaches that point")
    refused(day, f"gtid:{domain}-{server}9-{int(number) - 1}", "no transaction of the chain has that GTID")
    refused(day, "gtid:nonsense", "nothing here reaches that point")


def test_an_idle_shop_is_reachable_up_to_what_its_signed_tip_says(day: SealedShop) -> None:
    later = "2027-03-01T15:00:00Z"
    refused(day, later, f"nearest that can be had is {DAY}T13:00:00Z")
    from ansible_collections.larapee.backup.plugins.module_utils import _current

    newest = next(name for name in reversed(day.names()) if ".binlog." in name)
    _current.note(str(day.state), BRANCH, "database", newest, _manifest.parse_time(later))
    _tip.write_tip(TipRequest(BRANCH, "log", str(day.local), str(day.state), "x", str(day.keys.signing_key)))
    assert restored(day, later) == [1, 2, 3, 4, 5, 6, 7]
    refused(day, "2027-03-01T15:00:01Z", f"nearest that can be had is {later}")
    tip = day.local / "tip.json"
    tip.write_bytes(tip.read_bytes().replace(b"15:00:00", b"19:00:00"))
    refused(day, "2027-03-01T18:00:00Z", f"nearest that can be had is {DAY}T13:00:00Z")


def test_a_full_with_what_came_after_the_time_is_not_used_for_it(shop: SealedShop) -> None:
    """The newest full began before the time and had its snapshot after it: only an older one is right."""
    old = shop.full()
    shop.rewrite(old, created_at=f"{DAY}T08:00:00Z", snapshot_at=f"{DAY}T08:00:01Z")
    order(shop, 1, "09:00:00")
    order(shop, 2, "10:00:05")
    new = shop.full()
    fields = {key: value for key, value in new.document.items() if key != "snapshot_at"}
    order(shop, 3, "11:00:00")
    shop.seal(now=moment("12:00:00"))
    shop.rewrite(new, created_at=f"{DAY}T10:00:00Z", snapshot_at=f"{DAY}T10:00:10Z")
    assert restored(shop, f"{DAY}T10:00:05Z") == [1]
    assert shop.restore(to=f"{DAY}T10:00:05Z", check_mode=True, confirm=BRANCH).plan["artifact"] == old.artifact
    assert shop.restore(to=f"{DAY}T10:00:10Z", check_mode=True, confirm=BRANCH).plan["artifact"] == new.artifact
    # It tells a snapshot that is too early, or none: what its own file shows decides.
    for wrong in ({"snapshot_at": f"{DAY}T10:00:01Z"}, {}):
        shop.rewrite(_manifest.check_manifest({**fields, **wrong}), created_at=f"{DAY}T10:00:00Z")
        assert restored(shop, f"{DAY}T10:00:05Z") == [1]
    (shop.local / old.artifact).unlink()
    sql(shop.target, "DROP DATABASE larapos")
    refused(shop, f"{DAY}T10:00:05Z", f"{new.artifact}: it holds what was committed at {DAY}T10:00:05Z")


def test_clocks_that_were_put_back_make_a_time_ambiguous(shop: SealedShop) -> None:
    full = shop.full()
    shop.rewrite(full, created_at=f"{DAY}T08:00:00Z", snapshot_at=f"{DAY}T08:00:00Z")
    gtids = [order(shop, 1, "09:00:00"), order(shop, 2, "10:30:00")]
    shop.seal(now=moment("10:31:00"))
    gtids += [order(shop, 3, "09:45:00"), order(shop, 4, "11:00:00")]
    shop.seal(now=moment("12:00:00"))
    error = refused(shop, f"{DAY}T10:00:00Z", "the branch's clock was put back", reason="ambiguous_time")
    assert [each["gtid"] for each in error.facts["candidates"]] == gtids[:3]
    assert all(gtid in str(error) for gtid in gtids[:3])
    assert restored(shop, f"gtid:{gtids[2]}") == [1, 2, 3]
    # Before and after the hour that came twice there is no doubt.
    assert restored(shop, f"{DAY}T09:30:00Z") == [1]
    assert restored(shop, f"{DAY}T10:45:00Z") == [1, 2, 3]


def test_a_time_between_two_lives_of_the_server_is_refused_with_both_edges(shop: SealedShop) -> None:
    first = shop.full()
    shop.rewrite(first, created_at=f"{DAY}T08:00:00Z", snapshot_at=f"{DAY}T08:00:00Z")
    order(shop, 1, "08:30:00")
    shop.seal(now=moment("09:00:00"))
    sql(shop.source, "RESET MASTER")
    shop._next = position(shop.source)[0]
    second = shop.full()
    assert second.epoch != first.epoch
    shop.rewrite(second, created_at=f"{DAY}T11:00:00Z", snapshot_at=f"{DAY}T11:00:00Z")
    refused(shop, f"{DAY}T10:00:00Z", f"is {DAY}T09:00:00Z. The next after it is {DAY}T11:00:00Z")
    assert restored(shop, f"{DAY}T09:00:00Z") == [1]


def test_thousands_of_transactions_are_cut_between_any_two(shop: SealedShop) -> None:
    shop.full()
    sql(shop.source, "".join(f"INSERT INTO larapos.emptied VALUES ({number});" for number in range(2000)))
    path = next(iter(shop.root.glob("spool-*")), None)
    assert path is None
    manifest = shop.seal()
    name = manifest.document["files"][0]["name"]
    groups = list(groups_of(next(shop.root.glob(f"spool-*/{name}"))))
    for index in (1, 1000, len(groups) - 1):
        expected = index - (len(groups) - 2000)
        assert len(restored(shop, f"{name}:{groups[index].end}")) == expected + 1
