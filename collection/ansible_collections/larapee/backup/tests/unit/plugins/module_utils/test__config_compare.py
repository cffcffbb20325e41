# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ansible_collections.larapee.backup.plugins.module_utils import _config_compare
from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def live(tmp_path: Path) -> Path:
    found = tmp_path / "www"
    (found / "nginx").mkdir(parents=True)
    (found / ".env").write_text("APP_KEY=base64:newkey\nDB_PASSWORD='new secret'\nAPP_NAME=Shop\n")
    (found / "nginx" / "pos.conf").write_text("listen 443;\n")
    return found


@pytest.fixture
def restored(tmp_path: Path, live: Path) -> Path:
    """A config snapshot has absolute paths below its top."""
    top = tmp_path / "restored"
    inside = top / str(live).lstrip("/")
    (inside / "nginx").mkdir(parents=True)
    (inside / ".env").write_text("APP_KEY=base64:oldkey\nDB_PASSWORD='old secret'\nAPP_NAME=Shop\nSMS=1\n")
    (inside / ".env").chmod(0o640)
    (inside / "nginx" / "pos.conf").write_text("listen 443;\n")
    (inside / "nginx" / "gone.conf").write_text("listen 80;\n")
    return top


def test_names_are_told_and_no_value(restored: Path, live: Path) -> None:
    found = _config_compare.compare(str(restored))
    assert found == {
        "missing": [f"{live}/nginx/gone.conf"],
        "different": [f"{live}/.env"],
        "equal": [f"{live}/nginx/pos.conf"],
        "names": {f"{live}/.env": ["APP_KEY", "DB_PASSWORD", "SMS"]},
    }


def test_an_unreadable_env_tells_no_names(restored: Path, live: Path) -> None:
    (live / ".env").write_text("A='never closed\n")
    assert _config_compare.compare(str(restored))["names"] == {f"{live}/.env": None}


def test_a_file_is_put_in_its_place_and_what_stood_there_is_kept(restored: Path, live: Path) -> None:
    (done,) = _config_compare.apply(str(restored), [f"{live}/.env", f"{live}/nginx/pos.conf"])
    assert "oldkey" in (live / ".env").read_text()
    assert (live / ".env").stat().st_mode & 0o7777 == 0o640
    assert done["path"] == f"{live}/.env"
    kept = str(done["kept"])
    assert kept.startswith(f"{live}/.env.before-restore-")
    assert "newkey" in (live / kept).read_text()
    assert _config_compare.apply(str(restored), [f"{live}/.env"]) == []


def test_a_file_that_is_not_here_is_made(restored: Path, live: Path) -> None:
    (done,) = _config_compare.apply(str(restored), [f"{live}/nginx/gone.conf"])
    assert done["kept"] is None
    assert (live / "nginx" / "gone.conf").read_text() == "listen 80;\n"


def test_a_preview_changes_nothing(restored: Path, live: Path) -> None:
    before = (live / ".env").read_bytes()
    assert _config_compare.apply(str(restored), [f"{live}/.env"], check_mode=True)
    assert (live / ".env").read_bytes() == before
    assert sorted(path.name for path in live.iterdir()) == [".env", "nginx"]


@pytest.mark.parametrize("wanted", ["nothing", "/../etc/passwd", "{live}/nginx", "{live}/../www/.env"])
def test_what_the_snapshot_does_not_have_is_refused_before_anything_changes(
    restored: Path, live: Path, wanted: str
) -> None:
    before = (live / ".env").read_bytes()
    with pytest.raises(BackupError) as caught:
        _config_compare.apply(str(restored), [f"{live}/.env", wanted.format(live=live)])
    assert caught.value.reason == "not_in_config"
    assert (live / ".env").read_bytes() == before


def test_a_link_in_the_snapshot_is_no_file_to_apply(restored: Path, live: Path) -> None:
    link = restored / str(live).lstrip("/") / "link"
    link.symlink_to("/etc/shadow")
    with pytest.raises(BackupError):
        _config_compare.apply(str(restored), [f"{live}/link"])
    assert f"{live}/link" in _config_compare.compare(str(restored))["missing"]
