# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import hashlib
import os

import pytest

from ansible_collections.larapee.backup.plugins.module_utils._digest import Digest, Ends

SIZES = pytest.mark.parametrize("sizes", [[0], [1], [64 * 1024, 1], [5000, 5000, 70_000], [4096, 4096, 1]])


def feed(tap: Digest | Ends, text: bytes, sizes: list[int]) -> None:
    start = 0
    for size in sizes:
        tap.feed(memoryview(text)[start : start + size])
        start += size


@SIZES
def test_the_ends_of_a_stream_are_kept_however_it_is_cut(sizes: list[int]) -> None:
    text = os.urandom(sum(sizes))
    ends = Ends()
    feed(ends, text, sizes)
    assert ends.head == text[: Ends.HEAD]
    assert ends.tail == text[-Ends.TAIL :]


@SIZES
def test_hash_and_size_are_those_of_the_whole_stream(sizes: list[int]) -> None:
    text = os.urandom(sum(sizes))
    digest = Digest()
    feed(digest, text, sizes)
    assert (digest.sha256, digest.size) == (hashlib.sha256(text).hexdigest(), len(text))


def test_blocks_are_not_kept_after_they_passed() -> None:
    buffer = bytearray(b"first")
    ends = Ends()
    ends.feed(memoryview(buffer))
    buffer[:] = b"other"
    assert (ends.head, ends.tail) == (b"first", b"first")
