# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A branch with uploads and config, the archiver's own entry point, and restores by stock tools only."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import uuid
from typing import TYPE_CHECKING, Any

from ansible_collections.larapee.backup.plugins.module_utils import _catalog, _chain, _names
from ansible_collections.larapee.backup.plugins.module_utils._archive import (
    ArchiveOutcome,
    ArchiveRequest,
    archive_files,
)
from ansible_collections.larapee.backup.plugins.module_utils._verify import VerifyOutcome, VerifyRequest, verify_place

if TYPE_CHECKING:
    from pathlib import Path

    from ansible_collections.larapee.backup.plugins.module_utils._manifest import Manifest
    from tests.database.estate import Keys

BRANCH = "branch-001"


class ShopFiles:
    """One branch: ``uploads`` is archived into ``local``, what the archiver remembers lies in ``state``."""

    def __init__(self, root: Path, keys: Keys) -> None:
        self.root = root
        self.keys = keys
        self.uploads = root / "uploads"
        self.local = root / "local"
        self.state = root / "state"
        self._restored = 0

    @property
    def remembered(self) -> Path:
        return self.state / "files" / BRANCH

    def archive(self, *, check_mode: bool = False, **changes: Any) -> ArchiveOutcome:
        request = ArchiveRequest(
            branch=BRANCH,
            content="uploads",
            paths=(str(self.uploads),),
            local_path=str(self.local),
            state_path=str(self.state),
            run_id=str(uuid.uuid4()),
            signing_key=str(self.keys.signing_key),
            recipients=self.keys.recipients,
            allowed_signers=str(self.keys.allowed_signers),
        )
        return archive_files(dataclasses.replace(request, **changes), check_mode=check_mode)

    def full(self, **changes: Any) -> Manifest:
        return made(self.archive(**changes))

    def increment(self, **changes: Any) -> Manifest:
        return made(self.archive(increment=True, **changes))

    def config(self, *paths: Path, **changes: Any) -> ArchiveOutcome:
        return self.archive(content="config", paths=tuple(map(str, paths)), **changes)

    def chain(self) -> list[str]:
        """The names of the newest full of the uploads and of its increments."""
        catalogue = _catalog.read_catalogue(str(self.local))
        chains, astray = _chain.file_chains(
            entry.manifest for entry in catalogue.entries if entry.manifest.kind.startswith("files_")
        )
        assert not astray
        return [each.artifact for each in chains[-1].artifacts]

    def restore_by_stock_tools(self, artifacts: list[str] | None = None) -> Path:
        """Apply the artifacts (the newest chain) with age, zstd and GNU tar, as the printed page says."""
        self._restored += 1
        target = self.root / f"restored-{self._restored}"
        target.mkdir()
        for name in self.chain() if artifacts is None else artifacts:
            argv = ["tar", "--extract", "--listed-incremental=/dev/null", "--preserve-permissions", "--numeric-owner"]
            argv += ["--xattrs", "--xattrs-include=*", "--warning=no-timestamp", "-C", str(target), "-f", "-"]
            result = subprocess.run(argv, input=self.plain(name), capture_output=True, check=False)
            assert (result.returncode, result.stderr.decode()) == (0, ""), name
        return target

    def plain(self, name: str) -> bytes:
        """The decrypted, decompressed bytes of an artifact or a companion."""
        argv = ["age", "--decrypt", "-i", str(self.keys.directory / "identity-2"), str(self.local / name)]
        stored = subprocess.run(argv, check=True, capture_output=True).stdout
        return subprocess.run(["zstd", "-dcq"], input=stored, check=True, capture_output=True).stdout

    def index(self, name: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.plain(_names.companion_name(name)).splitlines()]

    def paths(self, name: str, *types: str) -> list[bytes]:
        """The paths of an artifact's index lines, all members or those of *types*."""
        wanted = types or ("file", "directory", "symlink", "hardlink")
        return [os.fsencode(line["path"]) for line in self.index(name) if line["type"] in wanted]

    def verify(self) -> VerifyOutcome:
        request = VerifyRequest(
            branch=BRANCH,
            directory=str(self.local),
            allowed_signers=str(self.keys.allowed_signers),
            state_path=str(self.state),
            run_id=str(uuid.uuid4()),
            identity=self.keys.identity,
        )
        return verify_place(request)

    def start(self, *prefix: str, increment: bool = False, **options: Any) -> subprocess.Popen[str]:
        """Archive in a process of its own, started by the command *prefix*."""
        argv = [*prefix, sys.executable, "-m", "tests.files.archive_once", str(self.root), str(self.keys.directory)]
        argv += [*self.keys.recipients, *(["increment"] if increment else [])]
        path = os.pathsep.join(filter(None, sys.path))
        # Measured memory is ours, not that of a coverage measurement.
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
        environment = {**inherited, "PYTHONPATH": path, **options.pop("env", {})}
        return subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, env=environment, **options)

    def run(self, *prefix: str, increment: bool = False) -> dict[str, Any]:
        """The same to its end; what it says."""
        with self.start(*prefix, increment=increment) as process:
            return dict(json.loads(process.communicate()[0]))

    def stored(self) -> set[str]:
        return {path.name for path in self.local.iterdir()} if self.local.exists() else set()


def made(outcome: ArchiveOutcome) -> Manifest:
    assert outcome.manifest is not None, outcome
    return outcome.manifest
