# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What central has of a branch comes to a host by a key for one fetch: real sshd, real rsync, a line that is cut."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ansible_collections.larapee.backup.plugins.module_utils import _fetch_ssh, _io
from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError
from tests.pull.cutter import Cutter
from tests.pull.restorer import CODE, LARGE

if TYPE_CHECKING:
    from tests.pull.restorer import Restorer


def test_what_comes_is_a_place_like_centrals(restorer: Restorer) -> None:
    restorer.let_in()
    outcome = restorer.fetch()
    assert outcome.refused == {}
    of_central = restorer.artifacts(restorer.place)
    assert restorer.artifacts() == {name: of_central[name] for name in of_central if ".verified." not in name}
    assert restorer.directory.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in restorer.directory.iterdir()} == {0o600}
    assert restorer.defects() == []
    again = restorer.fetch()
    assert (again.taken, again.bytes, sorted(again.present)) == ([], 0, sorted(outcome.taken))
    (restorer.directory / f"{outcome.taken[-1]}.manifest.json").unlink()
    assert restorer.fetch().taken == outcome.taken[-1:]
    assert not [path for path in restorer.directory.iterdir() if path.name.startswith(".")]


def test_only_what_the_wanted_moment_needs_is_brought(restorer: Restorer) -> None:
    restorer.let_in()
    assert len([name for name in restorer.fetch(fulls=1).taken if ".sql." in name]) == 1
    assert restorer.defects() == []
    assert len([name for name in restorer.fetch(fulls=3).taken if ".sql." in name]) == 2


def test_a_line_that_is_cut_is_gone_on_with_in_the_middle_of_a_file(restorer: Restorer) -> None:
    stored = restorer.large(3_000_000)
    restorer.let_in()
    cutter = Cutter(restorer.sshd.port, after=1_200_000, times=1000)
    known = restorer.sshd.port
    restorer.port = cutter.port
    try:
        outcome = restorer.fetch()
    finally:
        cutter.close()
        restorer.port = known
    # No connection lived long enough for all of it.
    assert cutter.cuts >= 2
    assert LARGE in outcome.taken
    assert (restorer.directory / LARGE).read_bytes() == stored
    assert restorer.defects() == []


def test_a_line_that_never_holds_is_told_and_a_second_start_goes_on(restorer: Restorer) -> None:
    stored = restorer.large(6_000_000)
    restorer.let_in()
    known = restorer.sshd.port
    cutter = Cutter(known, after=400_000, times=1000)
    restorer.port = cutter.port
    with pytest.raises(BackupError, match="what came is kept") as caught:
        restorer.fetch()
    cutter.close()
    assert caught.value.reason == "not_fetched"
    partial = restorer.directory / ".coming" / LARGE
    came = partial.stat().st_size
    assert 0 < came < len(stored)
    assert not (restorer.directory / LARGE).exists()
    # The second start must not need the whole again: the line is cut before that would be through.
    cutter = Cutter(known, after=len(stored) - came // 2, times=1000)
    restorer.port = cutter.port
    try:
        assert LARGE in restorer.fetch().taken
    finally:
        cutter.close()
        restorer.port = known
    assert (restorer.directory / LARGE).read_bytes() == stored
    assert not [path for path in restorer.directory.iterdir() if path.name.startswith(".")]


def test_a_killed_fetch_is_gone_on_with_and_leaves_no_process(
    restorer: Restorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = restorer.large(6_000_000)
    restorer.let_in()
    coming = restorer.directory / ".coming" / LARGE
    child = os.fork()
    if child == 0:
        restorer.fetch(bandwidth=1000)
        os._exit(0)
    ends = time.monotonic() + 30
    while not coming.exists() or coming.stat().st_size < 1_000_000:
        assert time.monotonic() < ends
        time.sleep(0.02)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    while any(str(restorer.directory).encode() in path.read_bytes() for path in rsyncs()):
        assert time.monotonic() < ends
        time.sleep(0.05)
    came = coming.stat().st_size
    assert 0 < came < len(stored)
    (restorer.directory / ".coming" / "db-20260101-0000.sql.gz.age").write_bytes(b"of another point")
    # Room for what is missing, and not for all of it.
    monkeypatch.setattr(_io, "free_bytes", lambda _path: len(stored) - came // 2)
    cutter = Cutter(restorer.sshd.port, after=len(stored) - came // 2, times=1000)
    known, restorer.port = restorer.port, cutter.port
    try:
        assert LARGE in restorer.fetch().taken
    finally:
        cutter.close()
        restorer.port = known
    assert (restorer.directory / LARGE).read_bytes() == stored
    assert not [path for path in restorer.directory.iterdir() if path.name.startswith(".")]


def rsyncs() -> list[Path]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if path.read_bytes().split(b"\0")[0].endswith(b"rsync"):
                found.append(path)
    return found


def test_bytes_and_manifests_that_were_changed_are_refused_and_the_rest_comes(restorer: Restorer) -> None:
    names = sorted(name for name in restorer.artifacts(restorer.place) if name.endswith(".sql.gz.age"))
    changed, forged = names[0], names[1]
    content = bytearray((restorer.place / changed).read_bytes())
    content[100] ^= 1
    (restorer.place / changed).write_bytes(content)
    manifest = restorer.place / f"{forged}.manifest.json"
    manifest.write_bytes(manifest.read_bytes().replace(b'"schema": 1', b'"schema":  1'))
    unsigned = next(name for name in restorer.artifacts(restorer.place) if name.startswith("config-"))
    unsigned = unsigned.partition(".age")[0] + ".age"
    (restorer.place / f"{unsigned}.manifest.json.sig").unlink()
    restorer.let_in()
    outcome = restorer.fetch()
    assert set(outcome.refused) == {changed, forged, unsigned}
    assert "are not those of its manifest" in outcome.refused[changed]
    assert outcome.refused[unsigned] == "its signature is missing"
    assert not {changed, forged, unsigned} & set(restorer.artifacts())
    assert len(outcome.taken) > 4
    content[100] ^= 1
    (restorer.place / changed).write_bytes(content)
    assert restorer.fetch().taken == [changed]


def test_what_no_manifest_speaks_of_is_not_asked_for(restorer: Restorer) -> None:
    planted = restorer.place / "db-20260305-0020.sql.gz.age"
    with planted.open("wb") as handle:
        handle.truncate(1 << 40)
    (restorer.place / "db-20260305-0021.sql.gz.age").symlink_to("/etc/shadow")
    restorer.let_in()
    outcome = restorer.fetch()
    assert outcome.refused == {}
    assert planted.name not in restorer.artifacts()
    assert "db-20260305-0021.sql.gz.age" not in restorer.artifacts()


def test_another_host_in_centrals_place_gets_nothing(restorer: Restorer) -> None:
    restorer.let_in()
    other = restorer.directory.parent / "other"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(other)], check=True)
    host_keys = [" ".join(other.with_suffix(".pub").read_text().split()[:2])]
    with pytest.raises(BackupError, match="is not the host that the play takes for central") as caught:
        _fetch_ssh.fetch(restorer.way(host_keys=host_keys), restorer.url, restorer.request())
    assert caught.value.reason == "not_fetched"
    assert restorer.artifacts() == {}


def test_a_central_that_is_down_is_told(restorer: Restorer) -> None:
    restorer.let_in()
    way = restorer.way()
    restorer.sshd.close()
    with pytest.raises(BackupError, match="Connection refused") as caught:
        _fetch_ssh.fetch(way, restorer.url, restorer.request())
    assert caught.value.reason == "not_fetched"


def test_too_little_room_is_told_before_anything_large_comes(
    restorer: Restorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    restorer.large(3_000_000)
    restorer.let_in()
    monkeypatch.setattr(_io, "free_bytes", lambda _path: 1_500_000)
    with pytest.raises(BackupError, match="bytes are needed, 1000000 bytes are free") as caught:
        restorer.fetch(reserve_bytes=500_000)
    assert caught.value.reason == "disk_full"
    assert restorer.artifacts() == {}


def test_a_disk_that_others_fill_meanwhile_ends_it(restorer: Restorer, monkeypatch: pytest.MonkeyPatch) -> None:
    restorer.large(3_000_000)
    restorer.let_in()
    answers = iter([1 << 40] * 2)
    monkeypatch.setattr(_fetch_ssh._fetch, "require_room", lambda *_arguments, **_more: None)
    monkeypatch.setattr(_io, "free_bytes", lambda _path: next(answers, 0))
    with pytest.raises(BackupError, match="what came is kept") as caught:
        restorer.fetch(bandwidth=100, reserve_bytes=1)
    assert caught.value.reason == "disk_full"


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("ssh://host/srv", ("root", "host", 22, "/srv/branch-001")),
        ("ssh://me@host:2222/srv/branch-001/", ("me", "host", 2222, "/srv/branch-001")),
        ("ssh://[::1]:22/srv", ("root", "::1", 22, "/srv/branch-001")),
    ],
)
def test_what_an_address_says(url: str, told: tuple[str, str, int, str]) -> None:
    address = _fetch_ssh.parse(url, branch=CODE)
    assert (address.user, address.host, address.port, address.path) == told


@pytest.mark.parametrize(
    "url",
    ["ssh://host", "ssh://-oProxyCommand=x/srv", "ssh://host:0/srv", "ssh://host:99999/srv", "ssh://a b/srv",
     'ssh://host/srv",command="id', "ssh://host/srv/../etc", "ssh://host//etc", "ssh://host/", "ssh://u@v@host/srv"],
)  # fmt: skip
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(BackupError, match="it is no ssh://") as caught:
        _fetch_ssh.parse(url, branch=CODE)
    assert caught.value.reason == "bad_address"
