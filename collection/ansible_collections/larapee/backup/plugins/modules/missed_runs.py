#!/usr/bin/python
# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# All of it is the action plugin of the same name.

from __future__ import annotations

DOCUMENTATION = r"""
module: missed_runs
short_description: Leave a failed row for each run that should have been and was not
version_added: 0.1.0
author: LaraPee contributors (@larapee)
description:
  - Compares the rows of C(backup_runs) with what is expected of each branch, and of central. For a run that did not
    come it leaves a failed row, its C(error) beginning with C(missed:), one for each branch, job and day.
  - When word of a run comes after all, because the branch was only cut off, the row ends as that run did.
  - It runs where the playbook was started, since the table is there.
attributes:
  check_mode:
    support: full
    description: Tells what is missed, and writes nothing.
  diff_mode:
    support: none
    description: The result tells it.
  idempotent:
    support: full
    description: A row has the same id however often its absence is noticed.
options:
  branches:
    description: The codes of the branches.
    type: list
    elements: str
    required: true
    version_added: 0.1.0
  expected:
    description:
      - What each branch does by itself. Of each kind the seconds within which the next run has to begin, or the local
        time of the day at which one has to, in quotes, such as V(23:15); or a dictionary of C(every) or C(at), and
        C(grace) in seconds.
      - The grace covers delays of timers and the length of a run, since a branch tells of a run when it has ended. It
        is four hours for a time of the day, and the interval again, ten minutes at least, for an interval.
    type: dict
    default: {}
    version_added: 0.1.0
  expected_of_branches:
    description: By branch, what is expected of it instead of O(expected).
    type: dict
    default: {}
    version_added: 0.1.0
  expected_at_central:
    description:
      - What central does for each branch, in the same form.
      - A job is named as the timer of role P(larapee.backup.central#role) is - V(pull-log), V(pull), V(snapshot),
        V(verify), V(verify-hot), V(verify-cold), V(retention), V(retention-hot), V(offsite-hot), V(offsite-cold).
        A row counts for it by its kind, and by C(place) or C(scope) of its C(details).
      - Any other kind, such as V(offsite) or V(sync), is any run of that kind.
      - While a run of it is at work, nothing more is expected.
    type: dict
    default: {}
    version_added: 0.1.0
  time_zones:
    description: By branch, the time zone of its times of the day. V(UTC) where a branch is not named.
    type: dict
    default: {}
    version_added: 0.1.0
  time_zone:
    description: The time zone of central.
    type: str
    default: UTC
    version_added: 0.1.0
  lag:
    description: Seconds after which central has to have heard of a run of a branch that has ended.
    type: int
    default: 1200
    version_added: 0.1.0
"""

EXAMPLES = r"""
- name: Notice what did not come
  larapee.backup.missed_runs:
    branches:
      - branch-001
    expected:
      log: 300
      full: "23:15"
    time_zones:
      branch-001: Europe/Berlin
"""

RETURN = r"""
missed:
  description: The errors of the rows that are new.
  type: list
  elements: str
  returned: success
settled:
  description: The ids of the rows of which word came after all.
  type: list
  elements: str
  returned: success
reports:
  description: Of each branch that misses runs now what the recorder notes - C(details.missed_runs), the jobs.
  type: dict
  returned: success
"""
