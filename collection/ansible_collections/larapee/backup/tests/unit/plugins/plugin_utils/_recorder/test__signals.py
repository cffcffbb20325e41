# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import ansible_collections
import pytest

COLLECTIONS = str(Path(next(iter(ansible_collections.__path__))).parent)
PACKAGE = "ansible_collections.larapee.backup.plugins.plugin_utils._recorder._signals"


def run(body: str) -> subprocess.CompletedProcess[str]:
    """Signals end processes: each case runs in one of its own."""
    program = f"import os, signal, sys\nsys.path.insert(0, {COLLECTIONS!r})\nfrom {PACKAGE} import *\n"
    return subprocess.run(
        [sys.executable, "-c", program + textwrap.dedent(body)], capture_output=True, text=True, timeout=20, check=False
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_tells_and_then_dies_of_the_signal(number: signal.Signals) -> None:
    done = run(f"""
        watch = SignalWatch(lambda got: print("told", got.name, flush=True))
        watch.install()
        os.kill(os.getpid(), {int(number)})
        print("survived")
    """)
    assert (done.returncode, done.stdout.split()) == (-number, ["told", number.name])


def test_calls_the_handler_that_was_there() -> None:
    done = run("""
        signal.signal(signal.SIGTERM, lambda *_: (print("previous", flush=True), sys.exit(3)))
        SignalWatch(lambda got: print("told", flush=True)).install()
        os.kill(os.getpid(), signal.SIGTERM)
    """)
    assert (done.returncode, done.stdout.split()) == (3, ["told", "previous"])


def test_failure_to_record_does_not_swallow_the_signal() -> None:
    done = run("""
        def broken(got):
            raise RuntimeError("nothing can be written")
        SignalWatch(broken).install()
        os.kill(os.getpid(), signal.SIGTERM)
        print("survived")
    """)
    assert (done.returncode, done.stdout) == (-signal.SIGTERM, "")


def test_signal_waits_for_the_record_that_is_being_written() -> None:
    done = run("""
        watch = SignalWatch(lambda got: print("told", flush=True))
        watch.install()
        with watch.deferred():
            os.kill(os.getpid(), signal.SIGTERM)
            print("written", flush=True)
    """)
    assert (done.returncode, done.stdout.split()) == (-signal.SIGTERM, ["written", "told"])


def test_ignored_signal_stays_ignored() -> None:
    done = run("""
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        SignalWatch(lambda got: print("told", flush=True)).install()
        os.kill(os.getpid(), signal.SIGHUP)
        print("survived")
    """)
    assert (done.returncode, done.stdout.split()) == (0, ["survived"])


def test_forked_worker_tells_nothing() -> None:
    done = run("""
        SignalWatch(lambda got: print("told", flush=True)).install()
        child = os.fork()
        if child == 0:
            os.kill(os.getpid(), signal.SIGHUP)
            os._exit(0)
        print("child", os.WTERMSIG(os.waitpid(child, 0)[1]))
    """)
    assert (done.returncode, done.stdout.split()) == (0, ["child", "1"])


def test_another_launcher_is_not_followed() -> None:
    assert run("end_with_parent(1)\nprint('alive')").stdout == "alive\n"
