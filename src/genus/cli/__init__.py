"""The command line: the same verbs and the same fields as in Python."""

from __future__ import annotations

import signal
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


def main() -> None:
    """Run `genus`; failures genus knows become one sentence and an exit code (2 usage, 3 data), never a traceback."""
    debug = "--debug" in sys.argv
    sys.argv = [word for word in sys.argv if word != "--debug"]
    from genus.errors import GenusError

    warnings.showwarning = _note
    with _heeding_interrupts() as interrupted:
        try:
            from genus.cli.app import app

            app()
        except (KeyboardInterrupt, Exception) as error:
            if interrupted or isinstance(error, KeyboardInterrupt):
                _say("Interrupted.")
                sys.exit(130)
            if isinstance(error, BrokenPipeError):
                sys.stderr.close()
                sys.exit(0)
            if debug:
                raise
            _say(str(error) if isinstance(error, GenusError) else _unexpected(error))
            sys.exit(error.code if isinstance(error, GenusError) else 1)


@contextmanager
def _heeding_interrupts() -> Iterator[list[int]]:
    """Inside, a Ctrl-C is also noted in the list: a library being imported may turn the exception into one of its own."""
    noted: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        noted.append(number)
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield noted
        return
    before = signal.signal(signal.SIGINT, note)
    try:
        yield noted
    finally:
        signal.signal(signal.SIGINT, before)


def _unexpected(error: Exception) -> str:
    text = " ".join(str(error).split())[:300]
    return f"Unexpected {type(error).__name__}: {text} This is a fault of genus: run again with --debug and report it."


_noted: set[str] = set()


def _note(message: Warning | str, *_: object, **__: object) -> None:
    """Say a warning as a note, once."""
    if str(message) not in _noted:
        _noted.add(str(message))
        _say(f"note: {message}")


def _say(text: str) -> None:
    print(f"genus: {' '.join(text.split())}", file=sys.stderr)
