"""What can go wrong, said in one sentence that names what, where and what to do next."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any


class GenusError(Exception):
    """Any failure genus explains itself; `code` is the command line's exit status."""

    code = 1


class UsageError(GenusError, ValueError):
    """The call is wrong: an unknown field, a verb the family lacks, a value out of range."""

    code = 2


class DataError(GenusError, ValueError):
    """The data are wrong: missing, empty, ragged, not finite, of a kind the family does not accept."""

    code = 3


class NotAccepted(DataError):
    """A family does not accept data of this kind; `why` says so, and the fitted `codec` tells which families would."""

    def __init__(self, why: str, codec: Any) -> None:
        super().__init__(f"{why}: `genus families` shows which families do.")
        self.why, self.codec = why, codec


class RunError(GenusError, RuntimeError):
    """A run folder or model file is wrong: not one, damaged, tampered with, or made from other data."""

    code = 3


class MissingExtra(GenusError, ImportError):
    """An optional package is not installed; the message is the command that installs it."""

    code = 2


def nearest(word: str, words: Iterable[str]) -> str:
    """A suggestion to append to an error, e.g. " Did you mean 'latent'?", or the empty string."""
    close = difflib.get_close_matches(word, list(words), n=1, cutoff=0.5)
    return f" Did you mean {close[0]!r}?" if close else ""


def extra(package: str, name: str) -> MissingExtra:
    """The error for a missing optional `package` that the extra `name` brings."""
    return MissingExtra(f"{package} is not installed; type: pip install 'genus[{name}]'")
