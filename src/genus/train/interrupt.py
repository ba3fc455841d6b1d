"""Interrupt: SIGINT and SIGTERM become a request to stop at the next step boundary."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from genus.errors import GenusError


class Interrupted(GenusError):
    """A fit that was asked to stop, has saved itself and says how to go on; `code` is 128 + the signal."""

    def __init__(self, message: str, number: int) -> None:
        super().__init__(message)
        self.code = 128 + number


class Request:
    """What a signal leaves behind: its number, 0 when none came."""

    number = 0

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if self.number:
            os._exit(128 + number)
        self.number = number


@contextmanager
def listening(wanted: bool) -> Iterator[Request]:
    """Inside the block a first signal is noted and a second ends the process at once.

    A signal that nobody acted upon before the block's end is delivered again afterwards. Outside the main
    thread, and where not wanted, signals keep their meaning.
    """
    request = Request()
    if not wanted or threading.current_thread() is not threading.main_thread():
        yield request
        return
    before = {number: signal.signal(number, request) for number in (signal.SIGINT, signal.SIGTERM)}
    acted = False
    try:
        yield request
    except BaseException:
        acted = True
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if request.number and not acted:
            os.kill(os.getpid(), request.number)
