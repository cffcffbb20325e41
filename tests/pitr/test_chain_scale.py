# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import dataclasses
import random
import time
from typing import TYPE_CHECKING

from ansible_collections.larapee.backup.plugins.module_utils._db_chain import db_chains
from ansible_collections.larapee.backup.tests.unit.plugins.module_utils.hours import full, sealed
from ansible_collections.larapee.backup.tests.unit.plugins.module_utils.places import log_files

if TYPE_CHECKING:
    from ansible_collections.larapee.backup.plugins.module_utils._manifest import Manifest


def test_ten_weeks_of_increments_take_seconds() -> None:
    """One every five minutes, with a full a day."""
    stands = full(0, file=1, gtid=0)
    template = sealed(1, 1, 1, gtids=(0, 10), base=stands, previous=stands)
    fulls: list[Manifest] = []
    increments: list[Manifest] = []
    for number in range(20_000):
        day = number // 288
        if number % 288 == 0:
            at = {"file": f"mysql-bin.{number + 1:06d}", "position": 400, "gtid": f"1-1-{10 * number}", "time": "-"}
            document = {**stands.document, "start": at, "end": at}
            fulls.append(dataclasses.replace(stands, document=document, artifact=f"full {day}", sequence=day + 1))
        previous = increments[-1] if increments else fulls[0]
        files = log_files(number + 1, number + 1, before=10 * number, after=10 * number + 10)
        document = {**template.document, **files, "base": fulls[-1].artifact, "previous": previous.artifact}
        increments.append(
            dataclasses.replace(template, document=document, artifact=f"increment {number}", sequence=number + 1)
        )
    everything = [*fulls, *increments]
    random.Random(20261122).shuffle(everything)  # noqa: S311 - an order, not a secret
    began = time.process_time()
    chains, astray = db_chains(everything)
    took = time.process_time() - began
    assert [len(chain.increments) for chain in chains] == [20_000 - 288 * day for day in range(len(fulls))]
    assert astray == {}
    assert took < 10
