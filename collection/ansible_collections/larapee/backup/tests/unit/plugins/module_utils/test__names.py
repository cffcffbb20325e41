# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import datetime as dt
import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.larapee.backup.plugins.module_utils import _names
from ansible_collections.larapee.backup.tests.unit.plugins.module_utils.places import utc

FORMS = [
    ("db_full", "gzip"),
    ("db_full", "zstd"),
    ("db_increment", "zstd"),
    ("files_full", "zstd"),
    ("files_increment", "zstd"),
    ("config", "zstd"),
]
MOMENTS = st.datetimes(
    min_value=dt.datetime(2020, 1, 1),  # noqa: DTZ001 - the strategy adds the zone
    max_value=dt.datetime(2099, 12, 31),  # noqa: DTZ001
    timezones=st.sampled_from(
        [dt.timezone.utc, dt.timezone(dt.timedelta(hours=-5)), dt.timezone(dt.timedelta(hours=2))]
    ),
)


@pytest.mark.parametrize(
    ("kind", "compression", "encrypted", "name"),
    [
        ("db_full", "gzip", False, "db-20261122-1432.sql.gz"),
        ("db_full", "gzip", True, "db-20261122-1432.sql.gz.age"),
        ("db_full", "zstd", True, "db-20261122-1432.sql.zst.age"),
        ("db_increment", "zstd", True, "db-20261122-1432.binlog.zst.age"),
        ("files_full", "zstd", False, "public-uploads-20261122-1432.tar.zst"),
        ("files_increment", "zstd", True, "public-uploads-20261122-1432.incr.tar.zst.age"),
        ("config", "zstd", True, "config-20261122-1432.tar.zst.age"),
    ],
)
def test_each_kind_has_the_name_of_the_contract(kind: str, compression: str, encrypted: bool, name: str) -> None:
    candidates = _names.candidate_names(kind, compression, encrypted=encrypted, now=utc("2026-11-22 14:32:10"))
    assert next(candidates) == name
    assert _names.parse_name(name) == _names.ArtifactName(
        kind=kind, compression=compression, encrypted=encrypted, time=utc("2026-11-22 14:32:00")
    )


def test_after_the_minute_come_its_seconds_from_now_on_and_then_the_earlier_ones() -> None:
    names = list(_names.candidate_names("db_full", "gzip", encrypted=False, now=utc("2026-11-22 14:32:58")))
    assert names[:5] == [f"db-20261122-1432{second}.sql.gz" for second in ("", "-58", "-59", "-00", "-01")]
    assert len(names) == len(set(names)) == 61


@pytest.mark.parametrize(
    ("moment", "minute"),
    [
        (dt.datetime(2026, 11, 22, 23, 30, tzinfo=dt.timezone(dt.timedelta(hours=-5))), "20261123-0430"),
        (dt.datetime(2026, 3, 29, 2, 30, tzinfo=dt.timezone(dt.timedelta(hours=2))), "20260329-0030"),
    ],
)
def test_names_are_in_utc_wherever_the_branch_is(moment: dt.datetime, minute: str) -> None:
    assert next(_names.candidate_names("db_full", "gzip", encrypted=False, now=moment)) == f"db-{minute}.sql.gz"


@settings(deadline=None)
@given(form=st.sampled_from(FORMS), encrypted=st.booleans(), now=MOMENTS, skip=st.integers(0, 60))
def test_a_name_says_what_it_was_made_from(form: tuple[str, str], encrypted: bool, now: dt.datetime, skip: int) -> None:
    kind, compression = form
    candidates = _names.candidate_names(kind, compression, encrypted=encrypted, now=now)
    name = next(itertools.islice(candidates, skip, None))
    parsed = _names.parse_name(name)
    assert parsed is not None
    assert (parsed.kind, parsed.compression, parsed.encrypted) == (kind, compression, encrypted)
    assert parsed.time.replace(second=0) == now.replace(second=0, microsecond=0)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "db-20261122-1432.sql",
        "db-20261122-1432.sql.gz.manifest.json",
        "db-20261122-1432.sql.gz.age.part",
        ".db-20261122-1432.sql.gz",
        "xdb-20261122-1432.sql.gz",
        "db-20261122-1432.sql.gz\n",
        "db-20261122-1432.tar.zst",
        "config-20261122-1432.sql.gz",
        "db-20261132-1432.sql.gz",
        "db-20261122-2460.sql.gz",
        "db-20261122-1432-61.sql.gz",
        "db-20261122-1432-1.sql.gz",
        "db-2026-11-22-1432.sql.gz",
        "../db-20261122-1432.sql.gz",
        "db-２０261122-1432.sql.gz",
    ],
)
def test_other_names_are_not_artifacts(name: str) -> None:
    assert _names.parse_name(name) is None


@settings(deadline=None)
@given(form=st.sampled_from(FORMS), encrypted=st.booleans(), now=MOMENTS)
def test_the_names_of_one_moment_are_the_same_from_whichever_of_them(
    form: tuple[str, str], encrypted: bool, now: dt.datetime
) -> None:
    name = next(_names.candidate_names(*form, encrypted=encrypted, now=now))
    family = _names.same_minute_names(name)
    assert name in family
    assert len(set(family)) == len(family) == 2 * sum(kind == form[0] for kind, _compression in FORMS)
    assert all(sorted(_names.same_minute_names(each)) == sorted(family) for each in family)


def test_full_and_increment_of_one_minute_do_not_take_each_others_names() -> None:
    assert not set(_names.same_minute_names("db-20261122-1432.sql.gz")) & set(
        _names.same_minute_names("db-20261122-1432.binlog.zst")
    )


@pytest.mark.parametrize(
    ("code", "allowed"),
    [
        ("branch-001", True),
        ("B.1_x", True),
        ("a" * 64, True),
        ("a" * 65, False),
        ("", False),
        (".", False),
        ("../x", False),
        ("a/b", False),
        ("-x", False),
        ("branch 1", False),
        ("branch-001\n", False),
        ("brañch", False),
    ],
)
def test_a_branch_code_can_name_a_directory_and_a_signing_principal(code: str, allowed: bool) -> None:
    assert _names.is_branch_code(code) is allowed
