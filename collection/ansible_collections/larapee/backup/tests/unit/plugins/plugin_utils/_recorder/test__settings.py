# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.larapee.backup.plugins.plugin_utils._recorder import SettingsError, load_settings


def write(path: Path, text: str) -> dict[str, str]:
    path.write_text(text, encoding="utf-8")
    return {"LARAPEE_BACKUP_CONFIG": str(path)}


def test_file_says_where(tmp_path: Path) -> None:
    environ = write(tmp_path / "c.yml", "runs_url: sqlite:////srv/runs.sqlite\nstate_path: /srv/state\nlater_key: 1\n")
    settings = load_settings(environ)
    assert (settings.runs_url, settings.state_path) == ("sqlite:////srv/runs.sqlite", Path("/srv/state"))


def test_file_says_within_how_many_weeks_each_branch_is_proven(tmp_path: Path) -> None:
    assert load_settings(write(tmp_path / "c.yml", "coverage_weeks: 5\n")).coverage_weeks == 5
    assert load_settings(write(tmp_path / "c.yml", "coverage_weeks:\n")).coverage_weeks == 0


def test_environment_goes_first(tmp_path: Path) -> None:
    environ = write(tmp_path / "c.yml", "runs_url: sqlite:////srv/runs.sqlite\nstate_path: /srv/state\n")
    environ.update(LARAPEE_BACKUP_RUNS_URL="sqlite:////other/runs.sqlite", LARAPEE_BACKUP_STATE_DIR="/other/state")
    settings = load_settings(environ)
    assert (settings.runs_url, settings.state_path) == ("sqlite:////other/runs.sqlite", Path("/other/state"))


def test_empty_file_gives_the_defaults(tmp_path: Path) -> None:
    settings = load_settings(write(tmp_path / "c.yml", ""))
    assert settings.runs_url == "sqlite:////var/lib/larapee-backup/runs.sqlite"
    assert settings.state_path == Path("/var/lib/larapee-backup")


def test_table_follows_the_state_directory(tmp_path: Path) -> None:
    settings = load_settings({**write(tmp_path / "c.yml", ""), "LARAPEE_BACKUP_STATE_DIR": str(tmp_path)})
    assert settings.runs_url == f"sqlite:///{tmp_path}/runs.sqlite"


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("runs_url: [S3cret", "not YAML"),
        ("- a list", "not a mapping"),
        ("runs_url: 17", "runs_url is not a string"),
        ("state_path: state", "not an absolute path"),
        ("coverage_weeks: five", "coverage_weeks is not a number of weeks"),
        ("coverage_weeks: true", "coverage_weeks is not a number of weeks"),
        ("coverage_weeks: -1", "coverage_weeks is not a number of weeks"),
    ],
)
def test_unusable_file(tmp_path: Path, text: str, cause: str) -> None:
    with pytest.raises(SettingsError, match=cause) as caught:
        load_settings(write(tmp_path / "c.yml", text))
    assert "S3cret" not in str(caught.value)


def test_named_file_must_exist(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="does not exist"):
        load_settings({"LARAPEE_BACKUP_CONFIG": str(tmp_path / "none.yml")})


def test_representation_keeps_the_url_to_itself(tmp_path: Path) -> None:
    settings = load_settings({**write(tmp_path / "c.yml", ""), "LARAPEE_BACKUP_RUNS_URL": "mysql://u:S3cret@h/d"})
    assert "S3cret" not in repr(settings)
