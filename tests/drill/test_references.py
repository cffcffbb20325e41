# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What rows name, and what is there."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest

from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError
from ansible_collections.larapee.backup.plugins.module_utils._file_references import Reference, check, of_lines

if TYPE_CHECKING:
    from pathlib import Path


def test_names_that_lead_elsewhere_are_missing(tmp_path: Path) -> None:
    """The host's own files are none of the shop's, whatever a row says."""
    uploads = tmp_path / "uploads"
    (uploads / "directory").mkdir(parents=True)
    (tmp_path / "outside").write_bytes(b"secret")
    (uploads / "link").symlink_to(tmp_path / "outside")
    names = ["../outside", str(tmp_path / "outside"), "link", "directory", "x/../../outside", "none"]
    found = check([Reference("t", name) for name in names], str(uploads))
    assert (found.checked, found.missing_count, len(found.missing)) == (6, 6, 6)
    with pytest.raises(BackupError) as caught:
        found.require_all()
    assert caught.value.reason == "references_missing"


def test_hash_and_orphans(tmp_path: Path) -> None:
    (tmp_path / "slips").mkdir()
    for name in ("a", "b", "c"):
        (tmp_path / "slips" / name).write_bytes(name.encode())
    right = hashlib.sha256(b"a").hexdigest()
    lines = f'{{"table": "t", "path": "slips/a", "sha256": "{right.upper()}"}}\n\n{{"path": "slips/./b"}}\n'
    found = check(of_lines(lines), str(tmp_path))
    found.require_all()
    assert (found.checked, found.hashed, found.orphans) == (2, 1, 1)
    found = check([Reference("t", "slips/b", right)], str(tmp_path))
    assert (found.changed_count, found.changed) == (1, ["slips/b (t)"])


@pytest.mark.parametrize("line", ["Deprecated: something", "[]", '{"path": ""}', '{"path": "a", "sha256": "no"}', "{}"])
def test_what_is_no_reference_is_refused(line: str) -> None:
    with pytest.raises(BackupError) as caught:
        list(of_lines(line))
    assert caught.value.reason == "bad_references"
