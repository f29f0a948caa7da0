"""Texts of others: they keep their direction to themselves, and a command that is copied shows what it holds."""

from __future__ import annotations

import shlex
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.texts import isolated, quoted, visible
from tests.odd import EVIL

BASH = ("/bin/bash", "-c")


def test_ordinary_texts_stay_as_they_are() -> None:
    for text in ("AMD EPYC x4", "a b", "größe", "γ 0.5 → 中文", "<b>&'\""):
        assert isolated(text) == visible(text) == text
        assert quoted(text) == shlex.quote(text)


@pytest.mark.parametrize("text", [EVIL, "\u202eabc", "שלום", "مرحبا", "a\u2069\u2067b", "\u200f"])
def test_what_runs_the_other_way_is_closed_in_itself(text: str) -> None:
    found = isolated(text)
    assert (found[0], found[-1]) == ("\u2068", "\u2069")
    assert not set(found[1:-1]) & set("\u2066\u2067\u2068\u2069"), "nothing inside may end it"


@given(st.text("\u202e\u2069\u200b\u2028\ufeff\n\x1b'\\ aא", min_size=1, max_size=20))
def test_nothing_in_a_command_is_unseen(text: str) -> None:
    assert quoted(text).isprintable()


def test_a_shell_reads_what_was_quoted() -> None:
    for text in (EVIL, "a\nb\tc", "\\u202e\u202e'", "\U000e0041x", "plain", "two words"):
        said = subprocess.run([*BASH, f"printf %s {quoted(text)}"], capture_output=True, env={"LC_ALL": "C.UTF-8"},
                              check=True)  # fmt: skip
        assert said.stdout.decode() == text
