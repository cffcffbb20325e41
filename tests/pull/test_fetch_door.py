# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The line that lets a host fetch from central: what it opens, when it ends, and that nothing of it is left."""

from __future__ import annotations

import datetime as dt
import os
import shutil
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from ansible_collections.larapee.backup.plugins.module_utils import _fetch_key, _process
from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError
from tests.central.central import CODES
from tests.pull.restorer import CODE

if TYPE_CHECKING:
    from pathlib import Path

    from tests.pull.restorer import Restorer


def test_the_key_opens_that_directory_for_reading_and_nothing_else(restorer: Restorer) -> None:
    other = restorer.central.branch(CODES[1])
    restorer.let_in()
    way = restorer.way()
    ssh = [*way.ssh("fetch_key"), "--", "127.0.0.1"]
    rsh = " ".join(way.ssh("fetch_key"))
    into = restorer.directory.parent / "into"
    into.mkdir()
    for command in (["id"], ["cat", "/etc/shadow"], []):
        done = subprocess.run([*ssh, *command], capture_output=True, stdin=subprocess.DEVNULL, text=True)
        assert (done.returncode != 0, "uid=" in done.stdout, "root:" in done.stdout) == (True, False, False)
    for source in ("/etc/shadow", f"/{os.path.relpath('/etc/shadow', restorer.place)}", str(other.directory) + "/"):
        subprocess.run(["rsync", "-r", f"--rsh={rsh}", f"127.0.0.1:{source}", f"{into}/"], capture_output=True)
    assert list(into.iterdir()) == []
    (into / "forged").write_text("forged")
    before = restorer.artifacts(restorer.place)
    done = subprocess.run(["rsync", f"--rsh={rsh}", f"{into}/forged", "127.0.0.1:/"], capture_output=True)
    assert done.returncode != 0
    assert restorer.artifacts(restorer.place) == before
    assert not (restorer.place / "forged").exists()


def test_what_reads_for_root_has_no_right_of_roots_but_that(restorer: Restorer) -> None:
    restorer.let_in()
    (line,) = restorer.door_file.read_text().splitlines()
    command = line.split('command="')[1].split('"')[0].split(" -- ")[0].split()
    told = subprocess.run([*command, "cat", "/proc/self/status"], capture_output=True, text=True, check=True).stdout
    facts = dict(each.split(":\t", 1) for each in told.splitlines() if ":\t" in each)
    only_read = f"{1 << 2:016x}"
    assert {facts[each] for each in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {only_read}
    assert facts["Uid"].split()[0] != "0"
    assert facts["NoNewPrivs"] == "1"
    secret = restorer.place / "secret"
    secret.write_text("x")
    assert subprocess.run([*command, "cat", str(secret)], capture_output=True, text=True, check=True).stdout == "x"
    assert subprocess.run([*command, "rm", "-f", str(secret)], capture_output=True).returncode != 0


def test_a_key_whose_hours_are_over_is_told(restorer: Restorer) -> None:
    restorer.let_in(valid_seconds=1)
    time.sleep(2.5)
    with pytest.raises(BackupError, match="good for some hours only") as caught:
        restorer.fetch()
    assert caught.value.reason == "not_fetched"
    assert "Permission denied" in str(caught.value)


def test_a_central_without_rrsync_is_told_before_a_key_is_let_in(
    restorer: Restorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs = restorer.directory.parent / "programs"
    programs.mkdir()
    for name in ("sshd", "setpriv", "ssh-keygen"):
        found = shutil.which(name, path=_process.search_path())
        assert found is not None
        (programs / name).symlink_to(found)
    monkeypatch.setattr(_process, "search_path", lambda: str(programs))
    with pytest.raises(BackupError, match="the command rrsync: it is not installed. Install the package rsync"):
        restorer.let_in()
    assert restorer.door_file.read_text() == ""


def test_a_rrsync_that_vanished_is_told(restorer: Restorer) -> None:
    restorer.let_in()
    text = restorer.door_file.read_text()
    restorer.door_file.write_text(text.replace("/rrsync -ro", "/no-rrsync -ro"))
    with pytest.raises(BackupError, match="no-rrsync") as caught:
        restorer.fetch()
    assert caught.value.reason == "not_fetched"


def test_a_directory_that_is_not_there_is_told(restorer: Restorer) -> None:
    with pytest.raises(BackupError, match="there is no such directory") as caught:
        restorer.door(path=str(restorer.place) + "x").open("", valid_seconds=1)
    assert caught.value.reason == "no_door"
    restorer.let_in()
    for path in restorer.place.iterdir():
        path.unlink()
    with pytest.raises(BackupError, match="nothing is there") as caught:
        restorer.fetch()
    assert caught.value.reason == "nothing_to_fetch"


def test_a_closed_door_leaves_nothing_and_the_keys_of_others(restorer: Restorer) -> None:
    known = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIExample admin@site\n# theirs \udcff\n"
    restorer.door_file.write_text(known, errors="surrogateescape")
    restorer.door_file.chmod(0o640)
    restorer.let_in()
    assert restorer.door_file.read_text(errors="surrogateescape").startswith(known)
    assert restorer.fetch().taken
    assert restorer.door().is_open()
    assert restorer.door().close()
    assert not restorer.door().close()
    assert restorer.door_file.read_text(errors="surrogateescape") == known
    assert restorer.door_file.stat().st_mode & 0o777 == 0o640
    with pytest.raises(BackupError, match="Permission denied"):
        restorer.fetch()
    assert _fetch_key.remove(str(restorer.key_directory), branch=CODE)
    assert not restorer.key_directory.exists()


def test_what_a_killed_play_left_is_replaced_and_what_is_over_goes(restorer: Restorer) -> None:
    restorer.let_in()
    first = restorer.door_file.read_text()
    restorer.let_in()
    assert len(restorer.door_file.read_text().splitlines()) == 1
    assert restorer.door_file.read_text() != first
    public = first.split('" ')[-1].split(" larapee")[0]
    restorer.door(target="another host").open(public, valid_seconds=600)
    assert len(restorer.door_file.read_text().splitlines()) == 2, "two hosts may fetch at once"
    over = f"{dt.datetime.now(dt.UTC) - dt.timedelta(hours=1):%Y%m%d%H%M%S}Z"
    lines = restorer.door_file.read_text().splitlines()
    until = lines[1].split('expiry-time="')[1].split('"')[0]
    restorer.door_file.write_text("\n".join([lines[0], lines[1].replace(until, over)]) + "\n")
    restorer.let_in()
    (left,) = restorer.door_file.read_text().splitlines()
    assert left.endswith(" new-host")


def test_a_file_of_its_own_is_used_where_sshd_reads_one_more(restorer: Restorer) -> None:
    own = restorer.sshd.etc / "home" / "keys2"
    config = restorer.sshd.etc / "config"
    config.write_text(config.read_text().replace(str(restorer.door_file), f"{restorer.sshd.etc}/home/keys {own}", 1))
    (restorer.sshd.etc / "home").mkdir()
    theirs = restorer.sshd.etc / "home" / "keys"
    theirs.write_text("# theirs\n")
    restorer.sshd.close()
    # Its settings are those that were just written.
    restorer.door().open(_fetch_key.make(str(restorer.key_directory), branch=CODE), valid_seconds=60)
    assert theirs.read_text() == "# theirs\n"
    assert "larapee-backup fetch" in own.read_text()
    restorer.door().close()
    assert not own.exists()


def test_a_link_in_place_of_the_keys_is_not_followed(restorer: Restorer, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("theirs")
    restorer.door_file.unlink()
    restorer.door_file.symlink_to(victim)
    with pytest.raises(BackupError, match="Failed to let the target read") as caught:
        restorer.let_in()
    assert caught.value.reason == "no_door"
    assert victim.read_text() == "theirs"
