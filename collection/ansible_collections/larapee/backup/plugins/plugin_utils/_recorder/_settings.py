# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import yaml

from ._errors import SettingsError

DEFAULT_CONFIG_PATH = "/etc/larapee-backup/config.yml"
DEFAULT_STATE_PATH = "/var/lib/larapee-backup"
_MOST_WEEKS = 520


@dataclass(frozen=True)
class Settings:
    """Where runs are recorded. The URL stays out of the representation: a wrong one may carry a password.

    ``coverage_weeks``: within how many weeks each branch has to be proven; 0 when nobody said it.
    """

    runs_url: str = field(repr=False)
    state_path: Path
    config_path: Path
    coverage_weeks: int = 0


def load_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """Read the configuration file; the environment goes before it, the defaults come after it."""
    environ = os.environ if environ is None else environ
    named = environ.get("LARAPEE_BACKUP_CONFIG")
    config_path = Path(named or DEFAULT_CONFIG_PATH)
    config = _read_config(config_path, required=bool(named))
    state = environ.get("LARAPEE_BACKUP_STATE_DIR") or config.get("state_path") or DEFAULT_STATE_PATH
    state_path = Path(state)
    if not state_path.is_absolute():
        raise SettingsError(
            f"Failed to use state_path {state}: it is not an absolute path. "
            f"Correct it in {config_path} or in LARAPEE_BACKUP_STATE_DIR."
        )
    runs_url = environ.get("LARAPEE_BACKUP_RUNS_URL") or config.get("runs_url")
    return Settings(
        runs_url=runs_url or f"sqlite:///{quote(os.fsencode(state_path / 'runs.sqlite'))}",
        state_path=state_path,
        config_path=config_path,
        coverage_weeks=_coverage_weeks(config, config_path),
    )


def _coverage_weeks(config: Mapping[str, object], path: Path) -> int:
    value = config.get("coverage_weeks", 0)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _MOST_WEEKS:
        raise SettingsError(
            f"Failed to read {path}: coverage_weeks is not a number of weeks from 0 to {_MOST_WEEKS}. Correct it."
        )
    return value


def _read_config(path: Path, *, required: bool) -> dict[str, Any]:
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        if not required:
            return {}
        raise SettingsError(
            f"Failed to read {path}: it does not exist. Create it, or unset LARAPEE_BACKUP_CONFIG."
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"Failed to read {path}: {error}. Let the account of this run read it.") from error
    except yaml.YAMLError as error:
        # The parser's own message quotes the line, and with it what stands there.
        raise SettingsError(f"Failed to read {path}: it is not YAML. Correct it.") from error
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise SettingsError(f"Failed to read {path}: it is not a mapping. Write runs_url and state_path into it.")
    config: dict[str, Any] = {key: document[key] for key in ("coverage_weeks",) if document.get(key) is not None}
    for key in ("runs_url", "state_path"):
        value = document.get(key)
        if value is None:
            continue
        if not isinstance(value, str):
            raise SettingsError(f"Failed to read {path}: {key} is not a string. Correct it.")
        config[key] = value
    return config


__all__ = ("Settings", "load_settings")
