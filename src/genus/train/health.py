"""Health: every step's loss and gradient norm are watched, and the last good weights kept."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from genus.errors import RunError
from genus.train.average import copy_all


class Health:
    """A window of recent losses and gradient norms, looked at now and then, and the weights as they were when last sound.

    Reading a number from a device waits for it, so that steps only note tensors.

    Parameters
    ----------
    nets: whose weights are kept. extra: further tensors kept with them. labels: of the losses. length: steps in the window.
    """

    def __init__(self, nets: dict[str, nn.Module], extra: list[Tensor], labels: tuple[str, ...], length: int) -> None:
        self.labels, self.length = labels, length
        self.live = [t.data for net in nets.values() for t in (*net.parameters(), *net.buffers())] + extra
        self.good = [t.clone() for t in self.live]
        self.since = 0
        self.zero = torch.zeros((), device=self.live[0].device)
        self.rows: list[list[Tensor]] = []

    def begin(self) -> None:
        """A step begins."""
        if len(self.rows) == self.length:
            self.rows = []
        self.rows.append([self.zero] * (2 * len(self.labels)))

    def put(self, slot: int, loss: Tensor, norm: Tensor | None) -> None:
        """Note the loss of `labels[slot]` and its gradient's norm at this step."""
        row = self.rows[-1]
        row[2 * slot] = loss
        if norm is not None:
            row[2 * slot + 1] = norm

    @property
    def window(self) -> Tensor:
        """What was noted, (steps, 2 × labels): losses and norms in turn."""
        flat = [value.float() for row in self.rows for value in row]
        return torch.stack(flat).view(len(self.rows), -1) if flat else self.zero.new_zeros(0, 2 * len(self.labels))

    @window.setter
    def window(self, values: Tensor) -> None:
        self.rows = [list(row.unbind()) for row in values.to(self.zero.device)]

    def look(self, step: int) -> dict[str, float]:
        """Mean losses of the window after `step` steps; keeps the weights if all is finite.

        Otherwise the last good weights are put back and a RunError names the step and the likely cause.
        """
        rows = self.window
        finite = torch.isfinite(rows).all(1)
        if not bool(finite.all()):
            first = int((~finite).int().argmax())
            self.restore()
            raise RunError(self._diagnosis(step - len(rows) + first, rows[first]))
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
