"""AnyOrder: a net that predicts the hidden cells of a record from whichever are shown."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from genus.capability import Conditional, Constrained, Factored, Partial, Sequential
from genus.errors import UsageError
from genus.maths.masking import masked
from genus.maths.particles import fill
from genus.maths.quantise import Packed
from genus.maths.within import Banned, Within
from genus.nets.masked import CellNet, draw
from genus.space import Record, few_first
from genus.train.descend import descend
from genus.train.recipe import Recipe
from genus.train.run import Run

COUNTED = 50_000
VISITS = 900_000  # rows read in training, times the square root of how many more there are than 26,000


@dataclass(kw_only=True, eq=False, repr=False)
class AnyOrder(Recipe, Factored, Sequential, Partial, Constrained, Conditional):
    """An order-agnostic autoregressive net: p(hidden cell | any shown cells), for filling gaps and conditioning on anything.

    Each training row shows a random set of its cells and is asked for the others: −E log p(x_i | shown) over hidden i, weighted
    so that the expectation over random orders is the log-likelihood. `complete` puts the known cells first, whichever they
    are, and draws the others few levels first; it needs no particles. `log_prob` is exact: the mean over `orders` of p(x)
    by the chain rule in each, the first of them few levels first.

    Parameters
    ----------
    width: units of a layer. depth: residual blocks. inner: width of a cell's vector.
    orders: whose mean is the density; 1 is what `sample` draws from.
    steps, batch, dropout: as in every recipe; the number of rows chooses when None.
    temperature: logits are divided by it when drawing. particles: of `sample` given ranges or sets.

    Attributes
    ----------
    net_: the CellNet, unmasked. orders_: (orders, entries) which entry is drawn when.

    Reference: B. Uria, I. Murray and H. Larochelle 2014, A deep and tractable density estimator,
    https://arxiv.org/abs/1310.1757; E. Hoogeboom et al. 2022, Autoregressive diffusion models, https://arxiv.org/abs/2110.02037
    """

    accepts: ClassVar[tuple[str, ...]] = ("record", "category", "binary", "levels")
    chunk: ClassVar[int] = 8192

    width: int = 320
    depth: int = 2
    inner: int = 8
    orders: int = 1
    steps: int | None = None
    batch: int | None = None  # pyright: ignore[reportIncompatibleVariableOverride]
    lr: float = 3e-3
    ema: float = 0.998
    dropout: float = 0.1
    temperature: float = 1.0
    particles: int = 16

    def _check(self) -> None:
        if not self.temperature > 0:
            raise UsageError(f"temperature is {self.temperature}, but must be above 0.")
        for name in ("width", "depth", "inner", "orders", "particles"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} is {getattr(self, name)}, but must be 1 or more.")

    def _recipe(self, n: int) -> AnyOrder:
        batch = self.batch or (512 if n > 200_000 else max(16, min(256, n // 20)))
        steps = self.steps
        if not (steps or self.epochs or self.minutes):
            steps = int(max(400, min(VISITS * (n / 26_000) ** 0.5 / batch, 200 * n / batch)))
        return replace(self, batch=batch, steps=steps)

    def _build(self) -> None:
        space = self.space_
        cells = [cell for _, cell in space.fields] if isinstance(space, Record) else None
        levels = [cell.levels for cell in cells] if cells else [space.levels or 2] * space.size
        if not hasattr(self, "orders_"):
            first = torch.tensor(few_first(space)) if isinstance(space, Record) else torch.arange(space.size)
            self.orders_ = torch.stack([first, *[torch.randperm(space.size) for _ in range(self.orders - 1)]])
        own = self._own_net(space, self.width_y, ("log_probs", "heads"))
        self.net_: CellNet = own or CellNet(
            levels, ordered=[c.kind == "levels" for c in cells] if cells else [space.kind == "levels"] * space.size,
            missing=[c.missing for c in cells] if cells else [None] * space.size, condition=space.size + 1 + self.width_y,
            width=self.width, depth=self.depth, inner=self.inner, dropout=self.dropout, masked=False,
        )  # fmt: skip

    # -- hooks --------------------------------------------------------------------------------------------

    def _fit(self, x: Packed, y: Tensor | None, run: Run) -> None:
        some = x[torch.randint(len(x), (min(len(x), COUNTED),))]
        self.net_.heads.count(some.flatten(1).long())
        self.history_ = descend(self.net_, self._loss, x, y, recipe=self._recipe(len(x)), run=run)

    def _told(self, y: Tensor | None, shown: Tensor) -> Tensor:
        """What the net is told besides: which cells are shown, how many, and the condition."""
        marks = shown.float()
        told = [marks, marks.mean(1, keepdim=True)]
        return torch.cat(told if y is None else [*told, y], 1)

    def _loss(self, x: Tensor, y: Tensor | None) -> Tensor:
        x = x.flatten(1).long()
        shown, weight = masked(*x.shape, device=x.device)
        each = self.net_.log_probs(self.net_(x, self._told(y, shown), shown), x) * ~shown
        return -each.sum(1) * weight

    def _log_prob_cells(self, x: Tensor, y: Tensor | None) -> Tensor:
        device = self.net_.heads.bias.device
        flat, c = x.flatten(1).long().to(device), None if y is None else y.to(device)
        every = torch.stack([self._chain(flat, c, order) for order in self.orders_.tolist()])
        if len(every) == 1:
            return every[0]
        total = torch.logsumexp(every.double().sum(2), 0) - torch.log(torch.tensor(float(len(every))))
        mean = every.double().mean(0)  # shared out in proportion, so that the cells sum to the mixture's log density
        return mean + ((total - mean.sum(1)) / mean.shape[1])[:, None]

    def _chain(self, x: Tensor, y: Tensor | None, order: list[int]) -> Tensor:
        """log p of each cell given those before it in the order, (n, cells)."""
        shown = torch.zeros(x.shape, dtype=torch.bool, device=x.device)
        out = torch.empty(x.shape, device=x.device)
        for cell in order:
            part = self.net_.one(x, self._told(y, shown), shown, cell).log_softmax(1)
            out[:, cell] = part.gather(1, x[:, cell, None])[:, 0]
            shown[:, cell] = True
        return out

    def _sample(self, n: int, y: Tensor | None) -> Tensor:
        x = torch.zeros((n, self.space_.size), dtype=torch.int64)
        return self._filled(x, torch.zeros(x.shape, dtype=torch.bool), None, y)[0]

    def _sample_within(self, n: int, within: Within, y: Tensor | None) -> tuple[Tensor, Tensor]:
        x = torch.zeros((n, self.space_.size), dtype=torch.int64)
        return self._filled(x, torch.zeros(x.shape, dtype=torch.bool), within, y)

    def _complete(self, x: Tensor, known: Tensor, y: Tensor | None) -> Tensor:
        return self._filled(x.flatten(1).long(), known.flatten(1), self._banned(), y)[0]

    def _unfold(self, n: int, y: Tensor | None) -> tuple[_Rows, list[int]]:
        order, x = self.orders_[0].tolist(), torch.zeros((n, self.space_.size), dtype=torch.int64)
        return _Rows(self, x, y, torch.zeros(self.space_.size, dtype=torch.bool), order), order

    def _filled(self, x: Tensor, known: Tensor, within: Within | None, y: Tensor | None) -> tuple[Tensor, Tensor]:
        """(items, log P(within)) with the unknown cells drawn given the known, rows alike in what is known at once."""
        out, weights = x.clone(), torch.zeros(len(x))
        patterns, index = torch.unique(known, dim=0, return_inverse=True)
        for i, pattern in enumerate(patterns):
            rows = (index == i).nonzero()[:, 0]
            order = [cell for cell in self.orders_[0].tolist() if not bool(pattern[cell])]
            copies = 1 if within is None or within.light else self.particles
            for part in rows.split(max(1, self.chunk // copies)):
                items = _Rows(self, x[part].clone(), None if y is None else y[part], pattern, order)
                limits = None if within is None else within.take(part)
                out[part], weights[part] = fill(items, order, within=limits, particles=self.particles, pick=self._pick)
        return out.to(self.space_.dtype).view(-1, *self.space_.shape), weights

    def _pick(self, logits: Tensor) -> Tensor:
        return draw(logits / self.temperature)

    def _banned(self) -> Within | None:
        """The missing levels, which a completion never draws."""
        if not isinstance(self.space_, Record):
            return None
        fields = enumerate(self.space_.fields)
        gaps = {i: (c.levels, c.missing) for i, (_, c) in fields if c.missing is not None and c.levels > 1}
        return Banned({i: torch.zeros(k).index_fill(0, torch.tensor(gap), -torch.inf) for i, (k, gap) in gaps.items()})


class _Rows:
    """Records in the making: what is known or drawn is shown."""

    def __init__(self, model: AnyOrder, x: Tensor, y: Tensor | None, known: Tensor, order: list[int]) -> None:
        self.model, self.x, self.y, self.order = model, x, y, order
        self.shown = known.expand(x.shape).clone()

    def logits(self, step: int) -> Tensor:
        """Logits (n, levels) of the cell drawn at `step`."""
        net, shown = self.model.net_, self.shown
        device = net.heads.bias.device
        told = self.model._told(self.y, shown).to(device)
        return net.one(self.x.to(device), told, shown.to(device), self.order[step]).cpu()

    def put(self, step: int, symbol: Tensor) -> None:
        """Set the cell drawn at `step`."""
        self.x[:, self.order[step]] = symbol
        self.shown[:, self.order[step]] = True

    def keep(self, index: Tensor) -> None:
        """Go on with the records at `index`, which may repeat."""
        self.x, self.shown = self.x[index], self.shown[index]
        self.y = None if self.y is None else self.y[index]
