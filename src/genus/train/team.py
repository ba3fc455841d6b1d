"""Team: the processes that share each batch, through Lightning Fabric, imported only when there are several."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from types import FrameType
from typing import Any

import torch
from torch import Tensor, nn

from genus.errors import GenusError, RunError, UsageError, extra
from genus.train.interrupt import Interrupted


class Team:
    """This process's place among those that share each batch.

    Attributes
    ----------
    rank: from 0, which alone writes and speaks. size: how many. parent: the process that forked this one, or None.
    """

    def __init__(self, fabric: Any = None, parent: int | None = None) -> None:
        self.fabric, self.parent = fabric, parent
        self.rank: int = fabric.global_rank if fabric else 0
        self.size: int = fabric.world_size if fabric else 1

    def align(self, nets: dict[str, nn.Module]) -> None:
        """Everybody starts with the weights of rank 0."""
        if self.size > 1:
            for net in nets.values():
                for t in (*net.parameters(), *net.buffers()):
                    torch.distributed.broadcast(t.data, 0)

    def mean(self, gradients: Sequence[Tensor | None], facts: list[Tensor | float]) -> Tensor:
        """Average the gradients in place over the team, all in one message; returns the averaged facts."""
        found = [g for g in gradients if g is not None]
        last = torch.stack([torch.as_tensor(f, dtype=torch.float32, device=found[0].device) for f in facts])
        flat = self.fabric.all_reduce(torch.cat([*(g.reshape(-1).float() for g in found), last]), reduce_op="mean")
        *pieces, last = flat.split([*(g.numel() for g in found), len(facts)])
        for g, piece in zip(found, pieces, strict=True):
            g.copy_(piece.view_as(g))
        return last

    def agree(self, value: float) -> float:
        """The team's mean of a number, so that all decide alike."""
        if self.size == 1:
            return value
        return float(self.fabric.all_reduce(torch.tensor(value, dtype=torch.float64), reduce_op="mean"))

    @property
    def orphaned(self) -> bool:
        """Whether the process that forked this one is gone."""
        return self.parent is not None and os.getppid() != self.parent


def launched() -> int:
    """How many processes torchrun started, 0 when it was not used."""
    return int(os.environ["WORLD_SIZE"]) if "TORCHELASTIC_RUN_ID" in os.environ or "LOCAL_RANK" in os.environ else 0


@cache
def join(size: int) -> Team:
    """The team that torchrun has started and this process belongs to."""
    if size <= 1:
        return Team()
    local = int(os.environ.get("LOCAL_WORLD_SIZE", size))
    cuda = torch.cuda.is_available()
    if cuda:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    fabric = _fabric()(accelerator="cuda" if cuda else "cpu", devices=local, num_nodes=size // local, strategy="ddp")
    fabric.launch()
    return Team(fabric)


def fork(size: int, work: Callable[[Team], None]) -> None:
    """Run `work` in `size` forked processes on the CPU, one thread each; what rank 0 raises is raised here.

    Only what they write comes back. Signals to this process are passed on to them.
    """
    if sys.platform == "win32" or torch.cuda.is_initialized():
        raise UsageError(
            f"devices={size} forks processes on the CPU; for GPUs start the script itself with: "
            f"torchrun --nproc-per-node {size} SCRIPT"
        )
    parent = os.getpid()

    def member(fabric: Any) -> tuple[str, int] | None:
        torch.set_num_threads(1)  # a forked OpenMP pool of several threads would hang
        os.setpgid(0, 0)  # signals of the terminal come through the parent alone
        try:
            work(Team(fabric, parent))
        except GenusError as error:
            return str(error), error.code
        return None

    fabric = _fabric()(accelerator="cpu", devices=size, strategy="ddp_fork")
    with _relaying():
        failure = fabric.launch(member)
    if failure is not None:
        message, code = failure
        raise Interrupted(message, code - 128) if code > 128 else RunError(message)


@contextmanager
def _relaying() -> Iterator[None]:
    """Pass SIGINT and SIGTERM on to the forked processes."""

    def relay(number: int, frame: FrameType | None) -> None:
        for child in multiprocessing.active_children():
            if child.pid:
                os.kill(child.pid, number)

    before = {number: signal.signal(number, relay) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _fabric() -> Any:
    try:
        import logging

        from lightning_fabric import Fabric

        logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    except ImportError:
        raise extra("lightning-fabric", "distributed") from None
    return Fabric
