"""Texts of others inside our own: names, reasons and paths that must not reverse or hide the sentence around them.

assets/dom.js `isolated` and assets/commands.js `quoted` are the twins.
"""

from __future__ import annotations

import re
import shlex
import unicodedata

_TURNS = re.compile("[\u0590-\u08ff\u200e\u200f\u202a-\u202e\u2066-\u2069\ufb1d-\ufdff\ufe70-\ufefc"
                    "\U00010800-\U00010fff\U0001e800-\U0001efff]")  # fmt: skip
"""Letters that run from right to left, and controls of direction."""
_ISOLATES = re.compile("[\u2066-\u2069]")


def isolated(text: str) -> str:
    """A text with its own direction, as <bdi> gives it where there is markup; most texts come back as they are."""
    return f"\u2068{_ISOLATES.sub('', text)}\u2069" if _TURNS.search(text) else text


def visible(text: str) -> str:
    """A text whose unseen signs are written as `\\u202e`; line breaks stay."""
    return "".join(_escape(sign) if _unseen(sign) and sign != "\n" else sign for sign in text)


def quoted(text: str) -> str:
    """A word of a command line to copy: what is not seen stands as an escape, which bash and zsh turn back."""
    if not any(map(_unseen, text)):
        return shlex.quote(text)
    plain = text.replace("\\", "\\\\").replace("'", "\\'")
    return "$'" + "".join(_escape(sign) if _unseen(sign) else sign for sign in plain) + "'"


def _unseen(sign: str) -> bool:
    return unicodedata.category(sign) in ("Cc", "Cf", "Zl", "Zp")


def _escape(sign: str) -> str:
    return f"\\u{ord(sign):04x}" if ord(sign) < 0x10000 else f"\\U{ord(sign):08x}"
