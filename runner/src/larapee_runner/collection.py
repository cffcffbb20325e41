# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the collection lies that ansible would take, found without starting ansible."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from .environment import ansible_config_file, configured

if TYPE_CHECKING:
    from collections.abc import Mapping

INSIDE = Path("ansible_collections") / "larapee" / "backup"
DEFAULT_PATHS = ("~/.ansible/collections", "/usr/share/ansible/collections")

# The file of the collection without which no run of this kind can be: how an installation tells what it can do.
NEEDED_FOR = {
    "full": "playbooks/branch_backup.yml",
    "increment": "plugins/modules/db_binlog.py",
    "log": "plugins/modules/db_binlog.py",
    "verify": "playbooks/verify.yml",
    "restore": "playbooks/restore.yml",
    "drill": "playbooks/restore_drill.yml",
    "sync": "playbooks/central_pull.yml",
    "offsite": "playbooks/offsite.yml",
    "retention": "playbooks/retention.yml",
    "rotate": "playbooks/rotate_keys.yml",
}


def search_paths(environ: Mapping[str, str], cwd: Path) -> list[Path]:
    """List the directories in which ansible looks for collections, in its order."""
    named = environ.get("ANSIBLE_COLLECTIONS_PATH")
    base = cwd
    if named is None:
        config = ansible_config_file(environ, cwd)
        if config is not None:
            named, base = configured(config, "collections_path"), config.parent
    words = named.split(os.pathsep) if named else list(DEFAULT_PATHS)
    return [base / Path(os.path.expandvars(word)).expanduser() for word in words if word] + [
        Path(p) for p in sys.path if p
    ]


def find_collection(environ: Mapping[str, str], cwd: Path) -> Path | None:
    """Return the collection's directory; a path may name the directory above ansible_collections or that one itself."""
    for path in search_paths(environ, cwd):
        for candidate in (path / INSIDE, path / INSIDE.relative_to("ansible_collections")):
            if (candidate / "galaxy.yml").is_file() or (candidate / "MANIFEST.json").is_file():
                return candidate
    return None


def available_kinds(collection: Path | None) -> frozenset[str]:
    """Tell which kinds of run this installation can make at all."""
    if collection is None:
        return frozenset()
    return frozenset(kind for kind, needed in NEEDED_FOR.items() if (collection / needed).is_file())


def collection_version(collection: Path) -> str:
    """Read the version from what was installed, or from the source."""
    import json

    import yaml

    try:
        manifest = collection / "MANIFEST.json"
        if manifest.is_file():
            return str(json.loads(manifest.read_text(encoding="utf-8"))["collection_info"]["version"])
        return str(yaml.safe_load((collection / "galaxy.yml").read_text(encoding="utf-8"))["version"])
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError):
        return "unknown"


__all__ = ("available_kinds", "collection_version", "find_collection", "search_paths")
