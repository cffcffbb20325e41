# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the modules' argument specs share, and how they fail.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import typing as t
import uuid

from ansible.module_utils.basic import AnsibleModule

from ._errors import BackupError


def place_spec() -> dict[str, t.Any]:
    """Options of the doc fragment ``place``."""
    return {
        "branch": {"type": "str", "required": True},
        "local_path": {"type": "path", "default": "/var/backups/larapee/local"},
    }


def branches_spec() -> dict[str, t.Any]:
    """Options of the doc fragment ``branches``."""
    return {
        "branches": {"type": "list", "elements": "str", "required": True},
        "allowed_signers": {"type": "path", "required": True},
        "deadline": {"type": "int", "default": 14400},
    }


def estate_spec() -> dict[str, t.Any]:
    """Options of the doc fragments ``branches`` and ``estate``."""
    return {**branches_spec(), "central_path": {"type": "path", "default": "/srv/backups/larapee"}}


def run_spec() -> dict[str, t.Any]:
    """Options of the doc fragment ``run``."""
    return {
        "run_id": {"type": "str"},
        "state_path": {"type": "path", "default": "/var/lib/larapee-backup"},
    }


def making_spec() -> dict[str, t.Any]:
    """Options of the doc fragment ``making``."""
    return {
        "encryption": {"type": "bool", "default": True},
        "age_recipients": {"type": "list", "elements": "str", "default": []},
        "signing_key": {"type": "path", "required": True, "no_log": False},
        "allowed_signers": {"type": "path"},
        "reserve_bytes": {"type": "int", "default": 64 * 1024 * 1024},
        "quota_bytes": {"type": "int", "default": 0},
    }


def making_options(options: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """What a request for an artifact takes from the options of ``place``, ``run`` and ``making``."""
    names = ("branch", "local_path", "state_path", "run_id", "signing_key", "allowed_signers")
    return {
        **{name: options[name] for name in (*names, "reserve_bytes", "quota_bytes")},
        "encrypt": options["encryption"],
        "recipients": tuple(options["age_recipients"]),
    }


def wishes_spec() -> dict[str, t.Any]:
    """Options of the doc fragment ``wishes``."""
    numbers = {"type": "list", "elements": "int", "default": []}
    return {
        "pin": numbers,
        "unpin": numbers,
        "acknowledge": numbers,
        "lost": {"type": "list", "elements": "str", "default": []},
        "hold": {"type": "str", "default": ""},
        "release": {"type": "bool", "default": False},
        "reason": {"type": "str", "default": ""},
    }


def wishes(options: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """What a request for retention takes from the options of ``wishes``."""
    given = {name: options[name] for name in wishes_spec()}
    return {name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}


def reading_spec() -> dict[str, t.Any]:
    """Options of the doc fragment ``reading``."""
    return {
        "age_identity_file": {"type": "path"},
        "age_identity": {"type": "str", "no_log": True},
        "allowed_signers": {"type": "path", "required": True},
    }


def create_module(spec: dict[str, t.Any], **rules: t.Any) -> AnsibleModule:
    module = AnsibleModule(argument_spec=spec, supports_check_mode=True, **rules)
    module.params["run_id"] = module.params["run_id"] or str(uuid.uuid4())
    return module


def fail(module: AnsibleModule, error: BackupError) -> t.NoReturn:
    """End the module as failed with the error's message, reason and facts."""
    module.fail_json(msg=str(error), reason=error.reason, **error.facts)
    raise AssertionError("fail_json does not return")


__all__ = (
    "branches_spec",
    "create_module",
    "estate_spec",
    "fail",
    "making_options",
    "making_spec",
    "place_spec",
    "reading_spec",
    "run_spec",
    "wishes",
    "wishes_spec",
)
