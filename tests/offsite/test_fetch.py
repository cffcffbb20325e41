# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a bucket has of a branch comes to a host without a key, and is a place there: real requests, stock tools."""

from __future__ import annotations

import datetime as dt
import http.client
import os
import subprocess
import uuid
from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.larapee.backup.plugins.module_utils import _fetch, _fetch_choice, _io
from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError
from ansible_collections.larapee.backup.plugins.module_utils._store import _linked
from tests.central.central import CODES, Central, defects
from tests.offsite.test_copy import copied
from tests.offsite.test_identities import identity

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ansible_collections.larapee.backup.plugins.module_utils._store._s3 import S3Store
    from tests.offsite.seaweed import Seaweed

CODE = CODES[0]


class Restorer:
    """A host that is restored, and the machine where the restorer's key is."""

    def __init__(self, central: Central, seaweed: Seaweed, store: S3Store, directory: Path) -> None:
        self._central = central
        self._seaweed = seaweed
        self.store = store
        self.directory = directory

    def links(self, *, to: str = "latest", fulls: int = 3, valid_seconds: int = 600) -> _linked.LinkedSource:
        versions = self.store.list(f"{CODE}/")
        names = {each.key.split("/")[1] for each in versions}
        wanted = _fetch_choice.choose(names, to=to, fulls=fulls)
        found = {
            each: self.store.link(each, valid_seconds=valid_seconds)
            for each in versions
            if each.key.split("/")[1] in wanted
        }
        return _linked.LinkedSource(self.store.url, found, ca=self._seaweed.certificate.read_text())

    def fetch(self, source: _linked.LinkedSource | None = None, **changes: Any) -> _fetch.FetchOutcome:
        options = {"directory": str(self.directory), **changes}
        return _fetch.fetch(source or self.links(), _fetch.FetchRequest(**self._central.common(CODE, **options)))

    def artifacts(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in self.directory.iterdir() if path.name[0] != "."}

    def defects(self) -> list[str]:
        names = sorted(name for name in os.listdir(self.directory) if not name.endswith((".json", ".sig")))
        sums = subprocess.run(["sha256sum", *names], cwd=self.directory, capture_output=True, check=True).stdout
        (self.directory / "SHA256SUMS").write_bytes(sums)
        found = defects(self.directory, self._central.keys, self.directory.parent, CODE)
        (self.directory / "SHA256SUMS").unlink()
        return found


@pytest.fixture
def hot(central: Central, bucket: str, seaweed: Seaweed, opened: Callable[..., Any], tmp_path: Path) -> Restorer:
    branch = central.branch(CODE, runs=3)
    branch.run("log")
    copied(central, opened(f"s3://{bucket}/estate"))
    store = opened(f"s3://{bucket}/estate", key=identity(seaweed, "restorer", bucket))
    return Restorer(central, seaweed, store, tmp_path / "fetched")


@pytest.fixture
def cold(central: Central, locked: str, seaweed: Seaweed, opened: Callable[..., Any], tmp_path: Path) -> Restorer:
    branch = central.branch(CODE, runs=2)
    for _number in range(2):
        branch.now += dt.timedelta(minutes=5)
        branch.run("log")
        copied(central, opened(f"s3://{locked}"), "cold")
    store = opened(f"s3://{locked}", key=identity(seaweed, "restorer", locked))
    return Restorer(central, seaweed, store, tmp_path / "fetched")


@pytest.mark.parametrize("place", ["hot", "cold"])
def test_what_comes_is_a_place_like_centrals(place: str, request: pytest.FixtureRequest, central: Central) -> None:
    restorer: Restorer = request.getfixturevalue(place)
    outcome = restorer.fetch()
    assert outcome.refused == {}
    of_central = central.path / "branches" / CODE
    wanted = {
        path.name: path.read_bytes()
        for path in of_central.iterdir()
        if path.name.startswith(("db-", "public-uploads-", "config-")) and not path.name.endswith(".verified.json")
    }
    assert restorer.artifacts() == wanted
    assert restorer.directory.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in restorer.directory.iterdir()} == {0o600}
    assert restorer.defects() == []
    again = restorer.fetch()
    assert (again.taken, again.bytes, sorted(again.present)) == ([], 0, sorted(outcome.taken))
    lost = restorer.directory / f"{outcome.taken[-1]}.manifest.json"
    lost.unlink()
    assert restorer.fetch().taken == outcome.taken[-1:]
    assert restorer.artifacts() == wanted


def test_only_what_the_wanted_moment_needs_is_brought(hot: Restorer) -> None:
    outcome = hot.fetch(hot.links(fulls=1))
    kinds = sorted(name.split("-2")[0] + name.split(".", 1)[1] for name in outcome.taken)
    assert len([name for name in outcome.taken if ".sql." in name]) == 1
    assert len(kinds) < len(hot.fetch().taken) + len(kinds)
    assert hot.defects() == []


def test_the_host_needs_no_key_and_a_link_is_good_for_one_version_only(hot: Restorer, seaweed: Seaweed) -> None:
    source = hot.links()
    (hot.directory.parent / "gone").mkdir()
    for path in hot.directory.parent.glob("*.ini"):
        path.unlink()
    assert hot.fetch(source).taken
    version = source.list("")[0]
    link = source._links[version]
    host = seaweed.endpoint.removeprefix("https://")
    elsewhere = link.replace(version.key.replace("/", "%2F"), "other").replace(version.key, "other")
    assert elsewhere != link
    argv = ["curl", "--silent", "--cacert", str(seaweed.certificate), "--output", "/dev/null", "--write-out"]
    for url, codes in ((link, {"200"}), (elsewhere, {"403", "404"}), (f"https://{host}/any", {"403", "404"})):
        done = subprocess.run([*argv, "%{http_code}", url], capture_output=True, text=True, check=True)
        assert done.stdout in codes, url


def test_a_link_that_is_over_is_told(hot: Restorer) -> None:
    source = hot.links(valid_seconds=1)
    subprocess.run(["sleep", "2.5"], check=True)
    with pytest.raises(BackupError, match="refuses the link") as caught:
        hot.fetch(source)
    assert caught.value.reason == "link_refused"


def test_what_a_thief_of_the_writers_key_put_over_it_is_not_taken(hot: Restorer, seaweed: Seaweed, bucket: str) -> None:
    thief = seaweed.client(*identity(seaweed, "writer", bucket))
    keys = {version.key for version in hot.store.list(f"{CODE}/")}
    for key in keys:
        thief.put_object(Bucket=bucket, Key=f"estate/{key}", Body=b"of a thief")
    later = f"{dt.datetime.now(dt.UTC):%Y%m%d-%H%M}"
    for name in (f"db-{later}.sql.gz.age", f"increments-{later}.tar", "db-x/y"):
        for suffix in ("", ".manifest.json", ".manifest.json.sig"):
            thief.put_object(Bucket=bucket, Key=f"estate/{CODE}/{name}{suffix}", Body=b"of a thief")
    older = min(key for key in keys if key.endswith(".sql.gz.age"))
    for suffix in ("", ".manifest.json", ".manifest.json.sig"):
        version = next(each for each in reversed(hot.store.list(older + suffix)) if each.key == older + suffix)
        with hot.store.open(version) as stream:
            body = stream.read()
        thief.put_object(Bucket=bucket, Key=f"estate/{CODE}/db-{later}.sql.zst.age{suffix}", Body=body)
    outcome = hot.fetch()
    assert set(outcome.refused) == {f"db-{later}.sql.gz.age", f"db-{later}.sql.zst.age"}
    assert outcome.refused[f"db-{later}.sql.zst.age"] == f"its manifest describes {older.split('/')[1]}"
    assert hot.defects() == []
    assert len(outcome.taken) == len(keys) // 3 or len(outcome.taken) > 4
    assert b"of a thief" not in hot.artifacts().values()


def test_bytes_that_rotted_are_refused_and_the_rest_comes(hot: Restorer, seaweed: Seaweed, bucket: str) -> None:
    victim = next(each for each in hot.store.list(f"{CODE}/") if each.key.endswith(".sql.gz.age"))
    seaweed.client().delete_object(Bucket=bucket, Key=f"estate/{victim.key}", VersionId=victim.version)
    seaweed.client().put_object(Bucket=bucket, Key=f"estate/{victim.key}", Body=b"x" * victim.size)
    outcome = hot.fetch()
    name = victim.key.split("/")[1]
    assert outcome.refused == {name: f"the bytes of {name} are not those of its manifest"}
    assert not (hot.directory / name).exists()
    assert len(outcome.taken) > 6
    assert hot.defects() == []


def test_a_tar_with_other_bytes_than_its_manifests_speak_of_gives_nothing(
    cold: Restorer, central: Central, seaweed: Seaweed, bucket: str, opened: Callable[..., Any]
) -> None:
    real = next(each for each in cold.store.list(f"{CODE}/") if each.key.endswith(".tar"))
    with cold.store.open(real) as stream:
        content = bytearray(stream.read())
    # Behind the first header lie the first artifact's bytes.
    content[1024] ^= 1
    seaweed.client().put_object(Bucket=bucket, Key=real.key, Body=bytes(content))
    forged = Restorer(central, seaweed, opened(f"s3://{bucket}"), cold.directory)
    outcome = forged.fetch()
    ((name, why),) = outcome.refused.items()
    assert "are not those of its manifest" in why
    assert not [each for each in forged.artifacts() if each.startswith(name)]
    assert outcome.taken, "the other artifacts in it are as they were signed"


def test_a_branch_of_which_nothing_is_there_is_told(hot: Restorer) -> None:
    with pytest.raises(BackupError, match="nothing is there") as caught:
        _fetch.fetch(
            hot.links(),
            _fetch.FetchRequest(
                "branch-999", str(hot.directory), "signers", str(hot.directory.parent / "state"), str(uuid.uuid4())
            ),
        )
    assert caught.value.reason == "nothing_to_fetch"


def test_signers_of_another_estate_make_nothing_usable(hot: Restorer, tmp_path: Path) -> None:
    (tmp_path / "none").write_text("")
    with pytest.raises(BackupError, match="allowed_signers is the restorer's own copy"):
        hot.fetch(allowed_signers=str(tmp_path / "none"))
    assert list(hot.directory.iterdir()) == []


def test_a_disk_that_is_too_small_is_told_before_anything_comes(hot: Restorer) -> None:
    free = _io.free_bytes(str(hot.directory.parent))
    with pytest.raises(BackupError, match="bytes are free") as caught:
        hot.fetch(reserve_bytes=free)
    assert caught.value.reason == "disk_full"
    assert list(hot.directory.iterdir()) == []


def test_a_second_start_needs_no_room_for_what_was_unpacked(cold: Restorer, monkeypatch: pytest.MonkeyPatch) -> None:
    taken = cold.fetch().taken
    monkeypatch.setattr(_io, "free_bytes", lambda _directory: 0)
    assert sorted(cold.fetch().present) == sorted(taken)


def test_links_without_tls_are_refused(hot: Restorer) -> None:
    links = {version: "http://127.0.0.1/x" for version in hot.links().list("")}
    with pytest.raises(BackupError, match="without TLS"):
        _linked.LinkedSource("s3://bucket", links)
    with pytest.raises(BackupError, match="holds no certificate"):
        _linked.LinkedSource("s3://bucket", {}, ca="none")


@pytest.mark.parametrize("place", ["hot", "cold"])
def test_a_connection_that_breaks_is_gone_on_with(
    place: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    restorer: Restorer = request.getfixturevalue(place)
    source, real, broken = restorer.links(), http.client.HTTPResponse.read, []

    def breaking(self: http.client.HTTPResponse, amt: int | None = None) -> bytes:
        if len(broken) % 3 == 0:
            broken.append("now")
            if len(broken) % 2:
                # As when the other side closes before it has sent all.
                return b""
            raise ConnectionResetError("cut")
        broken.append("")
        return real(self, 1000)

    monkeypatch.setattr(http.client.HTTPResponse, "read", breaking)
    monkeypatch.setattr(_linked, "_PAUSE_SECONDS", 0)
    restorer.fetch(source)
    monkeypatch.undo()
    assert broken.count("now") > 10
    assert restorer.defects() == []


def test_a_connection_that_never_holds_is_told_and_what_came_stays(
    hot: Restorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, real, reads = hot.links(), http.client.HTTPResponse.read, []

    def dying(self: http.client.HTTPResponse, amt: int | None = None) -> bytes:
        reads.append(1)
        if len(reads) > 20:
            raise ConnectionResetError("cut")
        return real(self, amt)

    with monkeypatch.context() as patch:
        patch.setattr(http.client.HTTPResponse, "read", dying)
        patch.setattr(_linked, "_PAUSE_SECONDS", 0)
        with pytest.raises(BackupError, match="what came is kept") as caught:
            hot.fetch(source)
    assert caught.value.reason == "store_failed"
    assert not [name for name in os.listdir(hot.directory) if name.startswith(".")]
    known = len([name for name in os.listdir(hot.directory) if name.endswith(".manifest.json")])
    assert known > 0
    assert len(hot.fetch().present) == known
    assert hot.defects() == []
