# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.larapee.backup.plugins.module_utils import _fingerprint
from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError
from ansible_collections.larapee.backup.plugins.module_utils._fingerprint import Fingerprint
from ansible_collections.larapee.backup.plugins.module_utils._mysql import _checksum, _contents

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
ANSWERS = st.lists(st.lists(st.none() | TEXTS, max_size=3), max_size=4)
FACTS = st.fixed_dictionaries(
    {"rows": st.integers(0, 2**62), "checksum": st.none() | st.from_regex(r"[0-9a-f]{1,25}", fullmatch=True)},
    optional={
        "exact": st.booleans(),
        "newest": st.integers(1, 10_000),
        "range": st.lists(st.lists(TEXTS, max_size=2), min_size=2, max_size=2),
        "value": st.integers(-(2**63), 2**63),
    },
)


@st.composite
def fingerprints(draw: st.DrawFn) -> Fingerprint:
    queries = draw(st.dictionaries(TEXTS, ANSWERS, max_size=3))
    return Fingerprint(
        file=draw(TEXTS),
        position=draw(st.integers(0, 2**63)),
        gtid=draw(TEXTS),
        taken_at=dt.datetime.fromtimestamp(draw(st.integers(0, 2**32)), dt.timezone.utc),
        tables=draw(st.dictionaries(TEXTS, FACTS, max_size=4)),
        queries=queries,
        receipt=draw(st.none() | TEXTS),
        checksums=draw(st.booleans()),
        statements={name: draw(TEXTS) for name in queries},
        receipt_query=draw(TEXTS),
        problems=tuple(draw(st.lists(TEXTS, max_size=2))),
    )


@given(fingerprints())
def test_it_comes_back_from_its_file(found: Fingerprint) -> None:
    raw = _fingerprint.to_bytes(found)
    assert _fingerprint.from_bytes(raw) == found
    assert _fingerprint.to_bytes(_fingerprint.from_bytes(raw)) == raw
    assert _fingerprint.manifest_fields(found).items() <= json.loads(raw).items()


@given(fingerprints(), st.data())
def test_a_damaged_file_is_said_and_never_a_fingerprint(found: Fingerprint, data: st.DataObject) -> None:
    document = json.loads(_fingerprint.to_bytes(found))
    field = data.draw(st.sampled_from(sorted(document)))
    if data.draw(st.booleans()):
        del document[field]
    else:
        document[field] = data.draw(st.sampled_from([{"x": 1}, [1], {"x": {"rows": "1"}}, -0.5]))
    try:
        _fingerprint.from_bytes(json.dumps(document).encode())
    except BackupError as exc:
        assert exc.reason == "bad_fingerprint"  # noqa: PT017 - anything else would fail the test


@given(st.binary(max_size=40))
def test_other_bytes_are_no_fingerprint(raw: bytes) -> None:
    with pytest.raises(BackupError) as caught:
        _fingerprint.from_bytes(raw)
    assert caught.value.reason == "bad_fingerprint"


def test_one_of_a_later_version_is_refused() -> None:
    with pytest.raises(BackupError, match="its schema is 2, this version reads 1"):
        _fingerprint.from_bytes(b'{"schema": 2}')


@given(ANSWERS, st.randoms(use_true_random=False))
def test_the_order_of_an_answer_does_not_count_but_how_often_each_row_comes_does(answer: Any, shuffle: Any) -> None:
    other = list(answer)
    shuffle.shuffle(other)
    assert _fingerprint._sorted(answer) == _fingerprint._sorted(other)
    if answer:
        assert _fingerprint._sorted([*answer, answer[0]]) != _fingerprint._sorted([*answer, [*answer[0], None]])
        assert _fingerprint._sorted([*answer, answer[0]]) != _fingerprint._sorted(answer)


def test_nothing_and_empty_are_two_answers() -> None:
    assert _fingerprint._sorted([[None]]) != _fingerprint._sorted([[""]])


@pytest.mark.parametrize(
    ("found", "expected", "words"),
    [
        ([["1"]], [["1"], ["2"]], "1 rows instead of 2"),
        ([["a", None]], [["a", "5"]], "a, NULL instead of a, 5"),
        ([["a"], ["a"], ["b"]], [["a"], ["b"], ["b"]], "rows differ in number"),
        ([["x" * 900]], [["y"]], f"{'x' * 200} instead of y"),
    ],
)
def test_a_difference_of_answers_is_said_in_few_words(found: Any, expected: Any, words: str) -> None:
    assert _fingerprint._how(found, expected) == words


@pytest.mark.parametrize(
    ("expected", "found", "words"),
    [
        ({"rows": 6, "checksum": "a"}, {"rows": 6, "checksum": "a"}, []),
        ({"rows": 6, "checksum": "a"}, {"rows": 5, "checksum": "b"}, ["t: 5 rows instead of 6"]),
        ({"rows": 6, "checksum": "a"}, {"rows": 6, "checksum": "b"}, ["t: checksum differs"]),
        (
            {"rows": 6, "checksum": "a", "newest": 9, "range": [["1"], ["6"]]},
            {"rows": 6, "checksum": "b", "newest": 9, "range": [["1"], ["6"]]},
            ["t: checksum of the newest 9 rows differs"],
        ),
        (
            {"rows": 6, "checksum": "a", "newest": 9, "range": [["1"], ["6"]]},
            {"rows": 6, "checksum": "a", "newest": 9, "range": [["1"], ["7"]]},
            ["t: other first or last key"],
        ),
    ],
)
def test_a_difference_of_tables_is_said_once(expected: Any, found: Any, words: list[str]) -> None:
    assert list(_fingerprint._differences("t", expected, found)) == words


def test_a_sequence_that_moved_or_is_new_is_not_exact() -> None:
    facts = _contents.sequence_facts({"still": 1, "moved": 5}, {"still": 1, "moved": 6, "new": 7})
    assert facts == {
        "still": {"rows": 1, "checksum": None, "value": 1},
        "moved": {"rows": 1, "checksum": None, "value": 6, "exact": False},
        "new": {"rows": 1, "checksum": None, "value": 7, "exact": False},
    }


@pytest.mark.parametrize("rows", [1, 10**10])
def test_a_row_without_a_digest_is_noticed_among_any_number(rows: int) -> None:
    assert _checksum.read_sum((rows, rows * (2**64 - 1))) == (rows, f"{rows * (2**64 - 1):x}")
    with pytest.raises(_checksum.NoDigestError):
        _checksum.read_sum((rows, 10**30))
    assert _checksum.read_sum((0, None)) == (0, "0")


def test_odd_names_are_quoted_everywhere() -> None:
    table = _checksum.Table("t`; --", (("c`", "int"), ("x", "varchar")), ("c`",), 0, 0, exact=True)
    for query in (
        _checksum.whole_query("d`", table),
        _checksum.newest_query("d`", table, limit=5),
        _checksum.edge_query("d`", table, last=True),
    ):
        assert "`d```.`t``; --`" in query
        assert "`c```" in query
