"""Health: every step's loss and gradient norm are watched, and the last good weights kept."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from genus.errors import RunError
from genus.train.average import copy_all


class Health:
    """A window of recent losses and gradient norms, looked at now and then, and the weights as they were when last sound.

    Reading a number from a device stops it, so that steps only write into the window.

    Parameters
    ----------
    nets: whose weights are kept. extra: further tensors kept with them. labels: of the losses. length: steps in the window.
    """

    def __init__(
        self, nets: dict[str, nn.Module], extra: list[Tensor], labels: tuple[str, ...], length: int, device: torch.device
    ) -> None:
        self.labels = labels
        self.window = torch.zeros(length, 2 * len(labels), device=device)
        self.live = [t.data for net in nets.values() for t in (*net.parameters(), *net.buffers())] + extra
        self.good = [t.clone() for t in self.live]
        self.since = 0

    def put(self, step: int, slot: int, loss: Tensor, norm: Tensor | None) -> None:
        """Note the loss of `labels[slot]` and its gradient's norm at `step`."""
        row = self.window[step % len(self.window)]
        row[2 * slot] = loss
        if norm is not None:
            row[2 * slot + 1] = norm

    def look(self, step: int) -> dict[str, float]:
        """Mean losses of the window after `step` steps; keeps the weights if all is finite.

        Otherwise the last good weights are put back and a RunError names the step and the likely cause.
        """
        count = (step - 1) % len(self.window) + 1
        rows = self.window[:count]
        finite = torch.isfinite(rows).all(1)
        if not bool(finite.all()):
            self.restore()
            raise RunError(self._diagnosis(step - count + int((~finite).int().argmax()), rows[~finite][0]))
        self.keep(step)
        means = rows.double().mean(0).tolist()
        return {label: means[2 * i] for i, label in enumerate(self.labels)}

    def keep(self, step: int) -> None:
        """The weights of now are good."""
        copy_all(self.good, self.live)
        self.since = step

    def restore(self) -> None:
        """Put the last good weights back."""
        copy_all(self.live, self.good)

    def _diagnosis(self, step: int, row: Tensor) -> str:
        values = row.tolist()
        bad = next(i for i, v in enumerate(values) if not math.isfinite(v))
        what = self.labels[bad // 2] if bad % 2 == 0 else f"gradient of {self.labels[bad // 2]}"
        cause = (
            "it was so from the start, so that the data (NaN, infinity, a huge scale) or the net are the likely cause: check them"
            if step == 0
            else "the learning rate is probably too high: try lr a tenth of this, a longer warmup or a smaller clip"
        )
        return f"The {what} became {values[bad]} at step {step}; {cause}. The weights of step {self.since} were put back."
