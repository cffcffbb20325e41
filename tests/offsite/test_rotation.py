# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Central's keys to the storage give way to new ones: proved by real requests, with the policies that are shipped."""

from __future__ import annotations

import configparser
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ansible_collections.larapee.backup.plugins.module_utils import _store_key
from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError
from ansible_collections.larapee.backup.plugins.module_utils._store._open import open_store
from tests.offsite.test_identities import identity

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ansible_collections.larapee.backup.plugins.module_utils._store._base import Store
    from tests.offsite.seaweed import Seaweed

OVERLAP = 3600


class Keys:
    """What central has of one bucket: a directory of credentials."""

    def __init__(self, seaweed: Seaweed, bucket: str, directory: Path) -> None:
        self._seaweed = seaweed
        self._bucket = bucket
        self.directory = directory

    def made(self, policy: str) -> str:
        """Credentials of a new identity, as the administrator hands them out."""
        key, secret = identity(self._seaweed, policy, self._bucket)
        return f"[s3]\naccess_key = {key}\nsecret_key = {secret}\n"

    def opener(self, credentials_file: str) -> Sequence[Store]:
        options = {"url": f"s3://{self._bucket}/estate", "endpoint": self._seaweed.endpoint, "region": "us-east-1"}
        options |= {"ca_file": str(self._seaweed.certificate), "credentials_file": credentials_file}
        return [open_store({**options, "allow_plain": False})]

    def begin(self, name: str, credentials: str, *, check_mode: bool = False) -> bool:
        key = _store_key.slot(str(self.directory), name)
        return _store_key.begin(key, credentials, overlap_seconds=OVERLAP, check_mode=check_mode)

    def switch(self, name: str) -> None:
        _store_key.switch(_store_key.slot(str(self.directory), name), self.opener)

    def finish(self, name: str) -> None:
        _store_key.finish(_store_key.slot(str(self.directory), name), self.opener)

    def remove_at_the_storage(self, path: Path) -> None:
        parser = configparser.ConfigParser()
        parser.read(path)
        self._seaweed.remove_key(parser["s3"]["access_key"])


@pytest.fixture(params=["hot", "cold"])
def keys_of(request: pytest.FixtureRequest, seaweed: Seaweed, tmp_path: Path) -> Keys:
    name = request.getfixturevalue("bucket" if request.param == "hot" else "locked")
    return Keys(seaweed, name, tmp_path)


@pytest.fixture
def hot(seaweed: Seaweed, bucket: str, tmp_path: Path) -> Keys:
    keys = Keys(seaweed, bucket, tmp_path)
    keys.begin("writer", keys.made("writer"))
    keys.switch("writer")
    return keys


def test_the_first_key_and_the_next_one_go_from_rest_to_rest(keys_of: Keys) -> None:
    writer = keys_of.directory / "writer.ini"
    first, second = keys_of.made("writer"), keys_of.made("writer")
    assert keys_of.begin("writer", first)
    keys_of.switch("writer")
    assert (writer.read_text(), writer.stat().st_mode & 0o777) == (first, 0o600)
    assert not keys_of.begin("writer", f"; another form of the same\n{first}")
    assert keys_of.begin("writer", second, check_mode=True)
    assert not (keys_of.directory / "writer.ini.next").exists()
    assert keys_of.begin("writer", second)
    assert not keys_of.begin("writer", second), "begun already"
    assert writer.read_text() == first
    keys_of.switch("writer")
    assert writer.read_text() == second
    old = keys_of.directory / "writer.ini.old"
    with pytest.raises(BackupError, match="still takes the old key") as caught:
        keys_of.finish("writer")
    assert caught.value.reason == "old_key_counts"
    assert old.read_text() == first
    with pytest.raises(BackupError, match="the last one is not over"):
        keys_of.begin("writer", keys_of.made("writer"))
    keys_of.remove_at_the_storage(old)
    keys_of.finish("writer")
    assert sorted(path.name for path in keys_of.directory.iterdir()) == ["writer.ini"]


@pytest.mark.parametrize("name", ["auditor", "pruner"])
def test_the_others_are_proved_with_what_the_writer_stores(hot: Keys, name: str) -> None:
    wanted = hot.made(name)
    assert hot.begin(name, wanted)
    hot.switch(name)
    assert (hot.directory / f"{name}.ini").read_text() == wanted


@pytest.mark.parametrize(("name", "policy"), [("writer", "auditor"), ("pruner", "writer"), ("pruner", "auditor")])
def test_a_key_that_cannot_do_its_work_is_never_used(hot: Keys, name: str, policy: str) -> None:
    before = {path.name: path.read_text() for path in hot.directory.glob("*.ini")}
    hot.begin(name, hot.made(policy))
    with pytest.raises(BackupError) as caught:
        hot.switch(name)
    assert caught.value.reason in ("store_refused", "key_not_proved")
    assert {path.name: path.read_text() for path in hot.directory.glob("*.ini")} == before
    right = hot.made(name)
    assert hot.begin(name, right), "what was taken in and not proved gives way"
    hot.switch(name)
    assert (hot.directory / f"{name}.ini").read_text() == right


def test_a_key_that_nobody_knows_is_never_used(hot: Keys) -> None:
    hot.begin("auditor", "[s3]\naccess_key = nobody\nsecret_key = knows\n")
    with pytest.raises(BackupError, match="refuses this identity"):
        hot.switch("auditor")
    assert not (hot.directory / "auditor.ini").exists()


def test_what_are_no_credentials_is_not_taken_in_and_not_shown(hot: Keys) -> None:
    with pytest.raises(BackupError, match="section .s3. with access_key and secret_key") as caught:
        hot.begin("auditor", "[s3]\nsecret_key: hidden-value\n")
    assert "hidden-value" not in str(caught.value)
    assert sorted(path.name for path in hot.directory.iterdir()) == ["writer.ini"]


def test_an_old_key_is_not_forgotten_while_the_storage_cannot_be_asked(hot: Keys) -> None:
    hot.begin("writer", hot.made("writer"))
    hot.switch("writer")

    def away(credentials_file: str) -> Sequence[Store]:
        options = {"url": "s3://any", "endpoint": "https://127.0.0.1:9", "region": "us-east-1", "ca_file": None}
        return [open_store({**options, "allow_plain": False, "credentials_file": credentials_file})]

    with pytest.raises(BackupError) as caught:
        _store_key.finish(_store_key.slot(str(hot.directory), "writer"), away)
    assert caught.value.reason == "store_failed"
    assert (hot.directory / "writer.ini.old").exists()
