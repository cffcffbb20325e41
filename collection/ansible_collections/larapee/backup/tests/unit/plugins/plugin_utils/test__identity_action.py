# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from types import SimpleNamespace
from typing import Any
from unittest import mock

import pytest
from ansible import constants
from ansible.errors import AnsibleActionFail

from ansible_collections.larapee.backup.plugins.plugin_utils._identity_action import IdentityAction

IDENTITY = "AGE-SECRET-KEY-1"


@pytest.fixture
def action(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    path = tmp_path / "identity"
    path.write_text(IDENTITY, encoding="utf-8")
    path.chmod(0o600)
    task = SimpleNamespace(
        args={"age_identity_file": str(path)},
        action="verify",
        async_val=0,
        check_mode=False,
        diff=False,
        delegate_to=None,
    )
    made = IdentityAction(task, mock.MagicMock(), mock.MagicMock(), mock.MagicMock(), mock.MagicMock(), None)
    monkeypatch.setattr(made, "_is_pipelining_enabled", lambda _style: True)
    monkeypatch.setattr(made, "_execute_module", lambda **given: given["module_args"])
    return made


def test_identity_goes_in_memory(action: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "DEFAULT_DEBUG", False)
    assert action.run(task_vars={}) == {"age_identity": IDENTITY}


def test_debug_mode_would_print_the_identity(action: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "DEFAULT_DEBUG", True)
    with pytest.raises(AnsibleActionFail, match="Unset ANSIBLE_DEBUG"):
        action.run(task_vars={})
