# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import datetime as dt

from ansible_collections.larapee.backup.plugins.module_utils._manifest import Manifest, check_manifest
from ansible_collections.larapee.backup.plugins.module_utils._recoverable import Recoverable, recoverable
from ansible_collections.larapee.backup.tests.unit.plugins.module_utils.places import log_files, manifest_document


def at(minute: int) -> dt.datetime:
    return dt.datetime(2026, 11, 22, tzinfo=dt.timezone.utc) + dt.timedelta(minutes=minute)


def name(minute: int, ending: str) -> str:
    return f"db-{at(minute):%Y%m%d-%H%M}{ending}"


def full(minute: int, *, sequence: int, epoch: int = 1) -> Manifest:
    """It stands in the file of its minute."""
    stands = {"file": f"mysql-bin.{minute + 1:06d}", "position": 4, "gtid": "", "time": "-"}
    changes = {"start": stands, "end": stands, "epoch": _epoch(epoch), "epoch_reason": "a gap"}
    return check_manifest(manifest_document(name(minute, ".sql.gz"), sequence=sequence, **changes))


def increments(first: int, last: int, *, base: Manifest, epoch: int = 1) -> list[Manifest]:
    """One a minute, each of the file of the minute before."""
    made = []
    previous = base.artifact
    for minute in range(first, last + 1):
        document = {**log_files(minute, minute, before=minute - 1, after=minute), "epoch": _epoch(epoch)}
        links = {"base": base.artifact, "previous": previous}
        previous = name(minute, ".binlog.zst")
        made.append(check_manifest(manifest_document(previous, sequence=minute, **document, **links)))
    return made


def _epoch(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012d}"


def spans(found: Recoverable) -> list[tuple[dt.datetime, dt.datetime, int]]:
    return [(span.from_, span.until, span.length) for span in found.spans]


def test_nothing_is_recoverable_where_nothing_is() -> None:
    found = recoverable([])
    assert (found.spans, found.gaps, found.newest, found.until, found.from_) == ((), (), None, None, None)
    assert found.document() == {
        "from": None,
        "until": None,
        "full": None,
        "chain_length": 0,
        "gaps": [],
        "gap_count": 0,
    }


def test_one_unbroken_stream_is_one_span_from_the_oldest_full_to_the_last_increment() -> None:
    first = full(0, sequence=1)
    stream = increments(1, 9, base=first)
    second = full(5, sequence=2)
    found = recoverable([*stream, second, first])
    assert spans(found) == [(at(0), at(9), 10)]
    assert (found.from_, found.until, found.gaps) == (at(0), at(9), ())
    # A restore to the end begins with the newer full.
    assert found.chain_length == 5
    assert found.document()["full"] == second.artifact


def test_a_bad_newest_full_costs_nothing_but_length() -> None:
    first, second = full(0, sequence=1), full(5, sequence=2)
    found = recoverable([first, *increments(1, 9, base=first), second], unusable={second.artifact: "damaged"})
    assert (found.until, found.chain_length) == (at(9), 10)


def test_a_gap_lies_between_what_is_left_of_both_sides() -> None:
    first, second = full(0, sequence=1), full(6, sequence=2)
    stream = [each for each in increments(1, 9, base=first) if each.artifact != name(4, ".binlog.zst")]
    found = recoverable([first, second, *stream])
    assert spans(found) == [(at(0), at(3), 4), (at(6), at(9), 4)]
    (gap,) = found.gaps
    assert (gap.after, gap.before) == (at(3), at(6))
    assert name(4, ".binlog.zst") in gap.why
    assert found.document()["gaps"] == [
        {"after": "2026-11-22T00:03:00Z", "before": "2026-11-22T00:06:00Z", "why": gap.why}
    ]


def test_a_gap_with_nothing_after_it_has_no_other_side() -> None:
    first = full(0, sequence=1)
    stream = increments(1, 5, base=first)
    found = recoverable([first, *stream[:2], *stream[3:]])
    (gap,) = found.gaps
    assert (gap.after, gap.before, found.until) == (at(2), None, at(2))


def test_between_two_epochs_is_a_gap_and_the_newer_one_counts() -> None:
    old, new = full(0, sequence=1), full(8, sequence=2, epoch=2)
    found = recoverable([old, *increments(1, 5, base=old), new])
    assert spans(found) == [(at(0), at(5), 6), (at(8), at(8), 1)]
    assert [(gap.after, gap.before, gap.why) for gap in found.gaps] == [
        (at(5), at(8), f"a new epoch began with {new.artifact}: a gap")
    ]
    assert found.newest is not None
    assert (found.newest.full, found.until) == (new, at(8))


def test_a_full_since_the_last_increment_is_no_gap_until_something_shows_that_it_is_one() -> None:
    first, fresh = full(0, sequence=1), full(5, sequence=2)
    sealed = increments(1, 3, base=first)
    found = recoverable([first, *sealed, fresh])
    assert spans(found) == [(at(0), at(3), 4), (at(5), at(5), 1)]
    assert (found.gaps, found.until, found.chain_length) == ((), at(5), 1)
    # The next increment joins both.
    assert recoverable([first, *increments(1, 6, base=first), fresh]).gaps == ()
    # It does not, it never came, or the server's life had ended: nothing brings back what lies between.
    late = increments(1, 6, base=first)
    other_life = full(5, sequence=2, epoch=2)
    for lost in ([*late[:3], late[5], fresh], [*sealed, fresh, full(8, sequence=3)], [*sealed, other_life]):
        gap = recoverable([first, *lost]).gaps[0]
        assert (gap.after, gap.before) == (at(3), at(5))


def test_fulls_without_increments_are_points() -> None:
    fulls = [full(minute, sequence=minute + 1) for minute in (0, 3, 6)]
    found = recoverable(fulls)
    assert spans(found) == [(at(minute), at(minute), 1) for minute in (0, 3, 6)]
    assert [gap.why for gap in found.gaps] == [f"no increment follows {each.artifact}" for each in fulls[:2]]


def test_the_tip_advances_an_idle_shop_and_no_other() -> None:
    first = full(0, sequence=1)
    stream = increments(1, 3, base=first)
    assert recoverable([first, *stream], current=(stream[-1].artifact, at(20))).until == at(20)
    assert recoverable([first, *stream], current=(stream[0].artifact, at(20))).until == at(3)


def test_a_clock_that_was_put_back_loses_no_full() -> None:
    first = full(30, sequence=1)
    late = increments(31, 31, base=first)[0]
    late = check_manifest({**late.document, "created_at": "2026-11-22T00:10:00Z", "base": first.artifact})
    found = recoverable([first, late])
    assert spans(found) == [(at(30), at(30), 2)]


def test_a_row_tells_the_newest_gaps_only() -> None:
    fulls = [full(2 * number, sequence=number + 1, epoch=number + 1) for number in range(15)]
    document = recoverable(fulls).document()
    assert (len(document["gaps"]), document["gap_count"]) == (10, 14)
    assert document["gaps"][-1]["before"] == "2026-11-22T00:28:00Z"
