# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rules of vlucas/phpdotenv 5: what the real one made of random files, and values written and read back.

``recorded/dotenv.json`` was made by the real one. Cases that only this parser refuses (a double quote that is open at
the end of the file, which the real one leaves out silently) are not in it.
"""

from __future__ import annotations

import contextlib
import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.larapee.backup.plugins.module_utils._dotenv import DotenvError, parse

NAMES = st.from_regex(r"[A-Z][A-Z0-9_]{0,12}", fullmatch=True)
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\0"), max_size=20)
# Where white space counts as such: PHP knows these six, whatever Unicode says.
SPACE = " \t\n\r\v\f"
TAILS = st.sampled_from(["", " ", "  # a comment", "#", ' # "quotes" and = signs'])


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("FOO=bar", "bar"),
        ("FOO = bar ", "bar"),
        ("FOO=", ""),
        ("FOO=   ", ""),
        ("FOO=# nothing", ""),
        ("FOO=bar # comment", "bar"),
        ("FOO=bar#comment", "bar"),
        ("export FOO=bar", "bar"),
        ("export\t\"FOO\"='bar baz'", "bar baz"),
        ("'FOO'=bar", "bar"),
        ('FOO="bar baz" # comment', "bar baz"),
        ("FOO='bar # baz'", "bar # baz"),
        (r"""FOO='\t "$X" \'""", r'\t "$X" ' + "\\"),
        (r'FOO="a\"b\\c\$d\te"', 'a"b\\c$d\te'),
        (r"FOO=\n\v", r"\n\v"),
        ("FOO=ba'r", "ba'r"),
        ('FOO=ba"r', 'ba"r'),
        ('FOO="one\ntwo"', "one\ntwo"),
        ('FOO="one\r\ntwo"\r\n', "one\ntwo"),
        ("FOO=\"one\nx='y'\n\"", "one\nx='y'\n"),
        ("FOO=mysql://u:p@h/db?x=y", "mysql://u:p@h/db?x=y"),
        ("\ufeffFOO=bar", "bar"),
        ("A=1\nFOO=${A}2", "12"),
        ('A=1\nFOO="x${A}$A\\${A}"', "x1$A${A}"),
        ("A=1\nFOO='${A}'", "${A}"),
        ("FOO=${UNKNOWN}", "${UNKNOWN}"),
        ("B=X\nAX=deep\nFOO=${A${B}}", "deep"),
        ("FOO=old\nFOO=new", "new"),
        ("#FOO=commented\n  # FOO=too\nFOO=bar\n#FOO=later", "bar"),
        ("FOO=a=b", "a=b"),
    ],
)
def test_a_value_is_what_the_application_reads(text: str, value: str) -> None:
    assert parse(text)["FOO"] == value


@pytest.mark.parametrize(
    "text",
    [
        "FOO=bar baz",
        "FOO='bar' baz",
        'FOO="\\q"',
        "FOO='bar",
        'FOO="bar',
        'FOO="bar\nbaz',
        "=bar",
        "FOO BAR=baz",
        "FOO!=bar",
        "export A=b",
        "FOO\u01b1=bar",
    ],
)
def test_what_the_application_refuses_is_refused_by_its_line_and_tells_no_value(text: str) -> None:
    with pytest.raises(DotenvError, match=r"^line 3: ") as caught:
        parse("# first\nSECRET=s3cret\n" + text)
    assert "ba" not in str(caught.value).replace("a backslash", "")


def test_random_files_are_read_as_the_real_one_reads_them() -> None:
    recorded = json.loads((Path(__file__).parent / "recorded/dotenv.json").read_text(encoding="utf-8"))
    assert len(recorded["cases"]) > 200
    for text, values in recorded["cases"]:
        if values is None:
            with pytest.raises(DotenvError):
                parse(text)
        else:
            assert parse(text) == values, text


def test_a_name_alone_unsets() -> None:
    assert parse("FOO=bar\nFOO\nBAR") == {}


@given(NAMES, TEXTS, TAILS)
def test_single_quotes_keep_everything(name: str, value: str, tail: str) -> None:
    value = value.replace("'", "").replace("\n", "")
    assert parse(f"{name}='{value}'{tail}") == {name: value}


@given(NAMES, TEXTS, TAILS)
def test_double_quotes_keep_what_is_escaped(name: str, value: str, tail: str) -> None:
    written = re.sub(r'(["\\$])', r"\\\1", value).replace("\n", r"\n").replace("\t", r"\t")
    assert parse(f'{name}="{written}"{tail}') == {name: value}


@given(NAMES, TEXTS, st.sampled_from(["", " ", " # a comment", "#"]))
def test_a_word_needs_no_quotes(name: str, value: str, tail: str) -> None:
    value = "".join(each for each in value if each not in SPACE + "#$").lstrip("'\"")
    assert parse(f"{name}={value}{tail}") == {name: value}


@given(st.dictionaries(NAMES, st.from_regex(r"[a-z0-9/+]{0,8}", fullmatch=True), max_size=6), st.booleans())
def test_lines_are_read_one_by_one(values: dict[str, str], carriage: bool) -> None:
    end = "\r\n" if carriage else "\n"
    text = "".join(f"# {name}=x{end}{name}={value}{end}{end}" for name, value in values.items())
    assert parse(text) == values


def by_characters(value: str) -> str | None:
    """The value by a machine with one state a character, as phpdotenv documents its own; None is a refusal."""
    state, out = "initial", ""
    for each in value:
        if state == "initial":
            state = {"'": "single", '"': "double", "#": "comment"}.get(each, "plain")
            out += each if state == "plain" else ""
        elif state == "plain":
            state = "comment" if each == "#" else "space" if each in SPACE else "plain"
            out += each if state == "plain" else ""
        elif state == "single":
            state = "space" if each == "'" else "single"
            out += each if state == "single" else ""
        elif state == "double":
            state = {'"': "space", "\\": "escape"}.get(each, "double")
            out += each if state == "double" else ""
        elif state == "escape":
            if each not in '"\\$fnrtv':
                return None
            out += {"f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}.get(each, each)
            state = "double"
        elif state == "space" and each not in SPACE:
            if each != "#":
                return None
            state = "comment"
    return None if state in ("single", "double", "escape") else out


@given(st.text("ab'\"\\# \tnq", max_size=12))
def test_any_value_is_read_as_by_the_documented_machine(value: str) -> None:
    expected = by_characters(value.strip(" \t"))
    try:
        found = parse(f"FOO={value}")["FOO"]
    except DotenvError:
        assert expected is None
    else:
        assert found == expected


@given(st.text("aB=_'\"\\#$ {}\n\r\t", max_size=40))
def test_nothing_but_its_own_error_comes_out(text: str) -> None:
    with contextlib.suppress(DotenvError):
        assert all(re.fullmatch(r"[A-Za-z0-9_.]+", name) for name in parse(text))
