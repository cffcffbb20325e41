# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import itertools
import os
from typing import TYPE_CHECKING

import pytest

from ansible_collections.larapee.backup.plugins.module_utils._store._open import open_store
from tests.central.central import Central
from tests.central.conftest import keys
from tests.offsite.ceph import Ceph
from tests.offsite.seaweed import ADMIN, Seaweed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from ansible_collections.larapee.backup.plugins.module_utils._store._base import Store

__all__ = ("keys",)

_numbers = itertools.count(1)
ON_CEPH = os.environ.get("OFFSITE_SERVER", "seaweed") == "ceph"


@pytest.fixture(scope="session")
def seaweed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seaweed | Ceph]:
    server = Ceph(tmp_path_factory.mktemp("ceph")) if ON_CEPH else Seaweed(tmp_path_factory.mktemp("seaweed"))
    yield server
    server.stop()


@pytest.fixture
def central(tmp_path: Path, keys: Path) -> Central:
    return Central(tmp_path, keys)


@pytest.fixture
def bucket(seaweed: Seaweed) -> str:
    name = f"hot-{next(_numbers)}"
    seaweed.bucket(name)
    return name


@pytest.fixture
def locked(seaweed: Seaweed) -> str:
    name = f"cold-{next(_numbers)}"
    seaweed.bucket(name, locked=True)
    return name


@pytest.fixture
def opened(seaweed: Seaweed, tmp_path: Path) -> Callable[..., Store]:
    """The store of a bucket, as whoever holds a key."""

    def at(
        url: str,
        *,
        key: tuple[str, str] = ADMIN,
        endpoint: str = "",
        uploads_path: str | None = None,
        **changes: object,
    ) -> Store:
        credentials = tmp_path / f"{key[0]}.ini"
        credentials.write_text(f"[s3]\naccess_key = {key[0]}\nsecret_key = {key[1]}\n")
        credentials.chmod(0o600)
        options = {
            "url": url,
            "endpoint": endpoint or seaweed.endpoint,
            "credentials_file": str(credentials),
            "region": "us-east-1",
            "ca_file": str(seaweed.certificate),
            "allow_plain": False,
        }
        return open_store({**options, **changes}, uploads_path=uploads_path)

    return at
