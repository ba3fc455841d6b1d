"""Transformer: an exact density over anything discrete, one entry at a time."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from genus.capability import Conditional, Constrained, Factored, Partial, Sequential
from genus.errors import UsageError
from genus.maths.quantise import Packed, drawn
from genus.maths.within import Within
from genus.nets.ancestral import Ancestral
from genus.nets.autoregression import Autoregression, autoregression
from genus.nets.beam import beam
from genus.space import Record
from genus.train.descend import descend
from genus.train.recipe import Recipe
from genus.train.run import Run

POSITIONS = 2**16  # read in one pass at most, so that caches and logits stay within a few hundred megabytes
FULL = 0.85  # share of a batch that is no padding, below which the padding is left out


@dataclass(kw_only=True, eq=False, repr=False)
class Transformer(Recipe, Sequential, Factored, Partial, Constrained, Conditional):
    """A causal transformer over an item's entries: log p(x | y) = Σᵢ log p(xᵢ | x₁ … xᵢ₋₁, y), exactly.

    Text is read symbol by symbol, up to the first end symbol; an image in raster order; a table's row cell by cell,
    each cell with a vocabulary of its own, few levels first. Over ordered levels (pixels, bins of numbers) vectors and
    logits are a free part plus a smooth one. Sampling keeps keys and values, so an entry costs one position.

    A text in y is read by an encoder that every block attends to: translation, or any sequence to sequence.

    `complete` is exact when the known entries come first. Otherwise it draws the unknown ones in order, `particles`
    times, weighs each by the probability of the known ones and of not being missing, and keeps one draw by weight
    (sampling-importance-resampling): exact as `particles` grows.

    Parameters
    ----------
    width: of a position's vector. depth: blocks. heads: of attention. The Space and `size` choose when None.
    activation: of the blocks. qk_norm: normalise queries and keys.
    order: of a record's cells; "few" takes cells of few levels first, "given" as they come.
    steps, batch, lr, dropout: as in every recipe; the Space chooses when None.
    temperature: logits are divided by it when drawing. top_k, top_p, min_p: draw among the likeliest only. repetition_penalty: of
    levels an item holds already, above 1 against repetition. beams: take the likeliest item that a beam search of so many
    open ends finds, instead of drawing; None draws.
    length: of a sampled running text; None the window's. particles: of `complete`, and of `sample` given ranges or sets.

    Attributes
    ----------
    net_: the Autoregression; a net of your own has its forward, begin, read, embed and decoder.
    order_: (entries,) which entry is read when.

    Reference: Vaswani et al. 2017, Attention is all you need, https://arxiv.org/abs/1706.03762; Radford et al. 2019,
    Language models are unsupervised multitask learners; Chen et al. 2020, Generative pretraining from pixels,
    http://proceedings.mlr.press/v119/chen20s.html
    """

    accepts: ClassVar[tuple[str, ...]] = ("tokens", "record", "levels", "binary", "category")
    chunk: ClassVar[int] = 8192
    reads: ClassVar[bool] = True

    width: int | None = None
    depth: int | None = None
    heads: int | None = None
    activation: Literal["swiglu", "gelu"] = "swiglu"
    qk_norm: bool = False
    order: Literal["few", "given"] = "few"
    steps: int | None = None
    batch: int | None = None  # pyright: ignore[reportIncompatibleVariableOverride]
    lr: float | None = None  # pyright: ignore[reportIncompatibleVariableOverride]
    dropout: float | None = None  # pyright: ignore[reportIncompatibleVariableOverride]
    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None
    repetition_penalty: float = 1.0
    beams: int | None = None
    length: int | None = None
    particles: int = 16

    # -- choices ------------------------------------------------------------------------------------------

    def _check(self) -> None:
        if not self.temperature > 0:
            raise UsageError(f"temperature is {self.temperature}, but must be above 0; top_k=1 always takes the likeliest.")
        if self.top_p is not None and not 0 < self.top_p <= 1:
            raise UsageError(f"top_p is {self.top_p}, but a share of the probability lies in (0, 1].")
        if self.min_p is not None and not 0 <= self.min_p < 1:
            raise UsageError(f"min_p is {self.min_p}, but a share of the largest probability lies in [0, 1).")
        if not self.repetition_penalty > 0:
            raise UsageError(f"repetition_penalty is {self.repetition_penalty}, but must be above 0; 1 is none, 1.2 discourages.")
        for name in ("top_k", "beams", "length", "width", "depth", "heads"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UsageError(f"{name} is {value}, but must be 1 or more, or None.")
        if self.particles < 1:
            raise UsageError(f"particles is {self.particles}, but complete needs at least 1.")
        if self.width and self.heads and self.width % (2 * self.heads):
            raise UsageError(f"width {self.width} does not split into {self.heads} heads of even size.")

    def _shape(self) -> dict[str, int]:
        """width, depth and heads: the user's, or by Space and size."""
        n, kind = self.space_.size, self.space_.kind
        base = (128, 4) if kind == "tokens" or n > 256 else (48, 2) if n <= 8 else (96 if kind == "record" else 64, 3)
        width, depth = {"small": (base[0] // 2, base[1]), "base": base, "large": (base[0] * 2, base[1] + 2)}[self.size]
        width, depth = self.width or width, self.depth or depth
        return {"width": width, "depth": depth, "heads": self.heads or next(h for h in (4, 2, 1) if width % (2 * h) == 0)}

    def _recipe(self, n: int) -> Transformer:
        """This recipe with what the Space and the number of items choose where a field is None."""
        text = self.space_.kind == "tokens"
        most = 2 ** round(math.log2(max(8, 8192 / self.space_.size)))
        batch = self.batch or max(8, min(256, most, n // 40))
        steps = self.steps
        if not (steps or self.epochs or self.minutes):
            steps = max(200, min(1500 if text else max(800, min(3000, 2 * n // batch)), 20 * n // batch))
        lr = self.lr or (1e-3 if n < 1000 else 2e-3 if text else 3e-3)
        return replace(self, batch=batch, steps=steps, lr=lr, dropout=self._dropout)

    @property
    def _dropout(self) -> float:
        return self.dropout if self.dropout is not None else 0.0 if self.space_.kind == "tokens" else 0.1

    # -- hooks --------------------------------------------------------------------------------------------

    def _build(self) -> None:
        space = self.space_
        self.order_ = torch.arange(space.size)
        if isinstance(space, Record):
            self.order_ = torch.tensor(_few_first(space) if self.order == "few" else range(space.size))
            space = Record(tuple(space.fields[i] for i in self.order_.tolist()))
        options: dict[str, Any] = {"activation": self.activation, "qk_norm": self.qk_norm, "dropout": self._dropout}
        own = self._own_net(space, self.width_y, ("begin", "read", "embed", "decoder"))
        self.net_: Autoregression = own or autoregression(space, self.width_y, texts=self.texts_y, **self._shape(), **options)

    def _fit(self, x: Packed, y: Tensor | None, run: Run) -> None:
        x = drawn(x)
        few = self._ordered(x[torch.randint(len(x), (min(len(x), 50_000),))])
        self.net_.embed.count(few, self._counted(few))
        self.history_ = descend(
            self.net_, self._loss, x, y, recipe=self._recipe(len(x)), run=run, evaluate=lambda x, y: -self._log_prob(x, y)
        )

    def _loss(self, x: Tensor, y: Tensor | None) -> Tensor:
        """−log p(x | y) in reduced precision, (n,)."""
        short = self.precision == "bf16" or (self.precision == "auto" and _bfloat16(x.device))
        with torch.autocast(x.device.type, dtype=torch.bfloat16, enabled=short):
            x = self._trimmed(self._ordered(x))
            counted = self._counted(x) > 0
            if self.net is None and float(counted.float().mean()) < FULL:
                return self._packed_loss(x, counted.flatten().nonzero()[:, 0], y)
            return -self._terms(x, y).sum(1)

    def _packed_loss(self, x: Tensor, kept: Tensor, y: Tensor | None) -> Tensor:
        """−log p(x | y) of texts whose positions that are not padding are numbered in `kept`."""
        logits = self.net_(x, y, kept)[0].float()
        each = F.cross_entropy(logits, x.flatten()[kept], reduction="none")
        return each.new_zeros(len(x)).index_add(0, kept // x.shape[1], each)

    def _log_prob_cells(self, x: Tensor, y: Tensor | None) -> Tensor:
        rows = range(0, len(x), self._rows)
        pieces = [(x[i : i + self._rows], None if y is None else y[i : i + self._rows]) for i in rows]
        terms = [self._terms(self._ordered(a), b) for a, b in pieces] or [torch.zeros(0, self.space_.size)]
        return torch.cat(terms)[:, self.order_.argsort().to(x.device)]

    def _terms(self, x: Tensor, y: Tensor | None) -> Tensor:
        """log p of each entry given those before it, (n, entries), in reading order; 0 behind the end."""
        logits = self.net_(x, y).float()
        each = -F.cross_entropy(logits.flatten(0, 1), x.flatten(), reduction="none").view(x.shape)
        return each * self._counted(x)

    def _sample(self, n: int, y: Tensor | None) -> Tensor:
        x = torch.zeros((n, self._stop), dtype=torch.int64)
        out = [self._drawn(self._ancestral(a, b), 0) for a, b in self._pieces(x, y, self.beams or 1)]
        return self._restored(torch.cat(out) if out else x)

    def _complete(self, x: Tensor, known: Tensor, y: Tensor | None) -> Tensor:
        mask = known.flatten(1)[:, self.order_]
        out, start = [], 0
        for a, b in self._pieces(self._ordered(x), y, self.particles):
            out.append(self._filled(a, mask[start : start + len(a)], b))
            start += len(a)
        return self._restored(torch.cat(out))

    def _sample_within(self, n: int, within: Within, y: Tensor | None) -> tuple[Tensor, Tensor]:
        """Draws by particles, so that ranges, sets and rules are met by masks and weights; one copy for rules alone."""
        x, weights, start = [], [], 0
        zeros = torch.zeros((n, self.space_.size), dtype=torch.int64)
        for a, b in self._pieces(zeros, y, 1 if within.light else self.particles):
            rows = torch.arange(start, start + len(a))
            items = self._ancestral(a, b)
            weights.append(items.fill(0, a.shape[1], self.particles, within=within.take(rows).ordered(self.order_)))
            x.append(items.x)
            start += len(a)
        return self._restored(torch.cat(x)), torch.cat(weights)

    def _unfold(self, n: int, y: Tensor | None) -> tuple[Ancestral, list[int]]:
        device = self.net_.decoder.norm.weight.device
        x = torch.zeros((n, self.space_.size), dtype=torch.int64, device=device)
        items = Ancestral(self.net_, x, None if y is None else y.to(device), end=getattr(self.space_, "end", None))
        return items, self.order_.tolist()

    # -- the order of entries -----------------------------------------------------------------------------

    def _ordered(self, x: Tensor) -> Tensor:
        """Items (n, *space) as entries (n, size) in reading order."""
        x = x.flatten(1).long()
        return x[:, self.order_.to(x.device)] if self.space_.kind == "record" else x

    def _restored(self, x: Tensor) -> Tensor:
        """The inverse of `_ordered`; longer texts stay long."""
        if self.space_.kind == "record":
            return x[:, self.order_.argsort()].to(self.space_.dtype)
        return x.to(self.space_.dtype) if self.space_.kind == "tokens" else x.view(-1, *self.space_.shape).to(self.space_.dtype)

    def _trimmed(self, x: Tensor) -> Tensor:
        """Texts without the columns that are padding in all of them."""
        if getattr(self.space_, "end", None) is None or self.net is not None:
            return x
        return x[:, : int(self._counted(x).sum(1).max())]

    def _counted(self, x: Tensor) -> Tensor:
        """1 up to and including the first end symbol, 0 on the padding after it."""
        end = getattr(self.space_, "end", None)
        if end is None:
            return torch.ones(x.shape, device=x.device)
        closed = x == end
        return (closed.cumsum(1) - closed.long() == 0).float()

    # -- drawing ------------------------------------------------------------------------------------------

    @property
    def _rows(self) -> int:
        return max(1, POSITIONS // self.space_.size)

    def _pieces(self, x: Tensor, y: Tensor | None, copies: int = 1) -> list[tuple[Tensor, Tensor | None]]:
        """Items on the net's device, few enough at a time."""
        device, rows = self.net_.decoder.norm.weight.device, max(1, self._rows // copies)
        starts = range(0, len(x), rows)
        return [(x[i : i + rows].to(device), None if y is None else y[i : i + rows].to(device)) for i in starts]

    def _ancestral(self, x: Tensor, y: Tensor | None, banned: Tensor | None = None) -> Ancestral:
        end = getattr(self.space_, "end", None)
        return Ancestral(
            self.net_, x, y, temperature=self.temperature, top_k=self.top_k, top_p=self.top_p, min_p=self.min_p,
            penalty=self.repetition_penalty, end=end, banned=banned,
        )  # fmt: skip

    def _drawn(self, items: Ancestral, start: int) -> Tensor:
        """The items with their entries from `start` on drawn, or by the beam if there are beams."""
        stop = items.x.shape[1]
        return beam(items, start, stop, self.beams)[0] if self.beams else items.run(start, stop)

    @property
    def _stop(self) -> int:
        """Entries of a drawn item."""
        return (self.length or self.space_.size) if self._running else self.space_.size

    @property
    def _running(self) -> bool:
        return self.space_.kind == "tokens" and getattr(self.space_, "end", None) is None

    def _filled(self, x: Tensor, known: Tensor, y: Tensor | None) -> Tensor:
        """x with its unknown entries drawn: by particles up to the last known entry, one by one after it."""
        missing = torch.nonzero(~known.all(0)).flatten()
        if not len(missing):
            return x
        given = torch.nonzero(known.any(0)).flatten()
        first, last = int(missing[0]), int(given[-1]) + 1 if len(given) else 0
        stop = max(self._stop, x.shape[1])
        items = self._ancestral(F.pad(x, (0, stop - x.shape[1])), y, self._banned(stop, x.device))
        if items.end is not None:
            items.done = (x[:, :first] == items.end).any(1)
        if last > first:
            items.fill(first, last, self.particles, F.pad(known, (0, stop - x.shape[1])))
        return self._drawn(items, max(first, last))

    def _banned(self, stop: int, device: torch.device) -> Tensor | None:
        """−∞ at each cell's missing level, (entries, levels)."""
        if not isinstance(self.space_, Record):
            return None
        banned = torch.zeros(stop, self.space_.levels, device=device)
        for row, i in enumerate(self.order_.tolist()):
            if (hole := self.space_.fields[i][1].missing) is not None:
                banned[row, hole] = -torch.inf
        return banned


def _few_first(space: Record) -> list[int]:
    """Cells by number of levels; a cell named 'other/…' stays behind the cell 'other' it refines."""
    names = [name for name, _ in space.fields]
    levels = {name: cell.levels for name, cell in space.fields}
    owner = [name.rpartition("/")[0] if name.rpartition("/")[0] in levels else name for name in names]
    return sorted(range(len(names)), key=lambda i: (levels[owner[i]], names.index(owner[i]), owner[i] != names[i], i))


def _bfloat16(device: torch.device) -> bool:
    """Whether products in bfloat16 are faster here."""
    return torch.cpu._is_avx512_bf16_supported() if device.type == "cpu" else torch.cuda.is_bf16_supported()
