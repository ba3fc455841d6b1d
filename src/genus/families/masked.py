"""Masked: a transformer that looks both ways and fills in what is hidden, wherever it is."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from genus.capability import Bound, Conditional, Partial
from genus.errors import UsageError, nearest
from genus.maths.masking import masked
from genus.maths.quantise import Packed, drawn
from genus.nets.infilling import Infilling, infilling
from genus.space import Record, Space
from genus.train.descend import descend
from genus.train.recipe import Recipe
from genus.train.run import Run

POSITIONS = 2**15  # read in one pass at most


@dataclass(kw_only=True, eq=False, repr=False)
class MaskedTransformer(Recipe, Bound, Partial, Conditional):
    """A bidirectional transformer trained to guess hidden entries: −E (L / hidden) Σ log p(xᵢ | shown, y) over random masks.

    With every number of hidden entries alike likely this is absorbing-state discrete diffusion: the loss is a lower bound of
    log p(x), where p draws the entries one by one in random order. `complete` keeps what is known and fills what is
    not, wherever it is; `sample` begins with everything hidden. `anyorder` does the same for records with a plain net, and an
    exact density. Behind a text's end symbol there are only end symbols, before its last character none.

    A blank in a text is `_` where the training text has none, else U+FFFD: `complete(["h_llo"])`.

    Parameters
    ----------
    width: of a position's vector. depth: blocks. heads: of attention. The Space and `size` choose when None.
    activation: of the blocks. qk_norm: normalise queries and keys.
    evaluations: of the net for a sample at most; entries drawn in the same one do not see each other.
    order: in which entries are drawn; "random" is the law that the bound scores, "confident" takes the surest first.
    temperature: logits are divided by it when drawing.
    steps, batch: as in every recipe; the Space chooses when None.

    Attributes
    ----------
    net_: the Infilling; a net of your own is called as net(x, shown, y) and gives logits (n, entries, levels).

    Reference: J. Devlin et al. 2019, BERT, https://arxiv.org/abs/1810.04805; J. Austin et al. 2021, Structured denoising
    diffusion models in discrete state-spaces, https://arxiv.org/abs/2107.03006; S. Sahoo et al. 2024, Simple and effective masked
    diffusion language models, https://arxiv.org/abs/2406.07524; H. Chang et al. 2022, MaskGIT, https://arxiv.org/abs/2202.04200
    """

    accepts: ClassVar[tuple[str, ...]] = ("tokens", "record", "levels", "binary", "category")
    chunk: ClassVar[int] = 4096

    width: int | None = None
    depth: int | None = None
    heads: int | None = None
    activation: Literal["swiglu", "gelu"] = "swiglu"
    qk_norm: bool = False
    evaluations: int = 64
    order: Literal["random", "confident"] = "random"
    temperature: float = 1.0
    steps: int | None = None
    batch: int | None = None  # pyright: ignore[reportIncompatibleVariableOverride]
    lr: float = 2e-3

    def _check(self) -> None:
        if not self.temperature > 0:
            raise UsageError(f"temperature is {self.temperature}, but must be above 0.")
        for name in ("width", "depth", "heads", "evaluations"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UsageError(f"{name} is {value}, but must be 1 or more.")
        for name, allowed in {"order": ("random", "confident"), "activation": ("swiglu", "gelu")}.items():
            value = getattr(self, name)
            if value not in allowed:
                raise UsageError(f"{name}={value!r} is not one of {', '.join(allowed)}.{nearest(str(value), allowed)}")
        if self.width and self.width % (2 * (self.heads or 1)):
            raise UsageError(f"width {self.width} does not split into {self.heads or 1} heads of even size.")

    def _shape(self) -> dict[str, int]:
        """width, depth and heads: the user's, or by Space and size."""
        n, kind = self.space_.size, self.space_.kind
        base = (128, 4) if kind == "tokens" or n > 256 else (48, 2) if n <= 8 else (96 if kind == "record" else 64, 3)
        width, depth = {"small": (base[0] // 2, base[1]), "base": base, "large": (base[0] * 2, base[1] + 2)}[self.size]
        width, depth = self.width or width, self.depth or depth
        return {"width": width, "depth": depth, "heads": self.heads or next(h for h in (4, 2, 1) if width % (2 * h) == 0)}

    def _recipe(self, n: int) -> MaskedTransformer:
        """This recipe with what the Space and the number of items choose where a field is None."""
        most = 2 ** round(math.log2(max(8, 8192 / self.space_.size)))
        batch = self.batch or max(8, min(256, most, n // 20))
        steps = self.steps
        if not (steps or self.epochs or self.minutes):
            steps = max(300, min(3000, 60 * n // batch))
        return replace(self, batch=batch, steps=steps)

    # -- hooks --------------------------------------------------------------------------------------------

    def _build(self) -> None:
        options: dict[str, Any] = {"activation": self.activation, "qk_norm": self.qk_norm, "dropout": self.dropout}
        own = self._own_net(self.space_, self.width_y)
        self.net_: Infilling = own or infilling(self.space_, self.width_y, **self._shape(), **options)

    def _fit(self, x: Packed, y: Tensor | None, run: Run) -> None:
        some = drawn(x[torch.randint(len(x), (min(len(x), 4096),))]).flatten(1).long()
        if isinstance(self.net_, Infilling):
            self.net_.embed.count(some, torch.ones(some.shape))
        self.history_ = descend(self.net_, self._loss, x, y, recipe=self._recipe(len(x)), run=run)

    def _loss(self, x: Tensor, y: Tensor | None, share: Tensor | None = None) -> Tensor:
        x = x.flatten(1).long()
        shown, weight = masked(len(x), x.shape[1], share=share, device=x.device)
        logits = self.net_(x, shown, y).float() + self._allowed(x, shown)
        each = logits.gather(2, x[..., None])[..., 0] - logits.logsumexp(2)
        return -(each * ~shown).sum(1) * weight

    def _bound(self, x: Tensor, y: Tensor | None, draws: int) -> Tensor:
        device, total = self._device, torch.zeros(len(x), dtype=torch.float64)
        for i in torch.arange(len(x)).split(max(1, POSITIONS // x.shape[1:].numel())):
            start = torch.rand(len(i))
            for draw in range(draws):  # evenly spaced numbers of hidden entries, so that the mean is less noisy
                c = None if y is None else y[i].to(device)
                total[i] -= self._loss(x[i].to(device), c, (start + draw / draws) % 1).double().cpu() / draws
        return total

    def _sample(self, n: int, y: Tensor | None) -> Tensor:
        x = torch.zeros((n, self.space_.size), dtype=torch.int64)
        return self._filled(x, torch.zeros(x.shape, dtype=torch.bool), y, None)

    def _complete(self, x: Tensor, known: Tensor, y: Tensor | None) -> Tensor:
        return self._filled(x.flatten(1).long(), known.flatten(1), y, self._banned(known.flatten(1)))

    # -- drawing ------------------------------------------------------------------------------------------

    def _filled(self, x: Tensor, known: Tensor, y: Tensor | None, banned: Tensor | None) -> Tensor:
        """Items whose unknown entries are drawn; `banned` (n or 1, entries or 1, levels) is added to the logits."""
        out, device = x.clone(), self._device
        for i in torch.arange(len(x)).split(max(1, POSITIONS // max(1, x.shape[1]))):
            c = None if y is None else y[i].to(device)
            ban = None if banned is None else (banned if len(banned) == 1 else banned[i]).to(device)
            out[i] = self._unmask(x[i].to(device), known[i].to(device), c, ban).cpu()
        return out.to(self.space_.dtype).view(-1, *self.space_.shape)

    def _unmask(self, x: Tensor, shown: Tensor, y: Tensor | None, banned: Tensor | None) -> Tensor:
        """x with the hidden entries drawn, some at each evaluation of the net, the shown ones left alone."""
        rounds = min(self.evaluations, int((~shown).sum(1).max())) if len(x) else 0
        for left in range(rounds, 0, -1):
            logits = self.net_(x, shown, y).float() + self._allowed(x, shown)
            logits = (logits if banned is None else logits + banned) / self.temperature
            logits = _possible(logits)
            symbol = (logits - torch.empty_like(logits).exponential_().log()).argmax(2)
            sure = torch.rand(x.shape, device=x.device)
            if self.order == "confident":
                sure = logits.log_softmax(2).gather(2, symbol[..., None])[..., 0].exp()
            rank = sure.masked_fill(shown, -1.0).argsort(1, descending=True).argsort(1)
            hidden = (~shown).sum(1, keepdim=True)
            now = (rank < -(-hidden // left)) & ~shown
            x, shown = torch.where(now, symbol, x), shown | now
            x, shown = self._ended(x, shown, now)
        return x

    def _ended(self, x: Tensor, shown: Tensor, now: Tensor) -> tuple[Tensor, Tensor]:
        """Everything drawn now or still hidden behind a text's end is an end."""
        end = self._end
        if end is None:
            return x, shown
        behind = ((x == end) & shown).long().cumsum(1) > 0
        behind = behind & (now | ~shown)
        return x.masked_fill(behind, end), shown | behind

    def _allowed(self, x: Tensor, shown: Tensor) -> Tensor:
        """0, or −∞ for an end before the last shown character, and for characters behind a shown end: (n, entries, levels)."""
        end = self._end
        if end is None:
            return torch.zeros((), device=x.device)
        letter = (shown & (x != end)).long()
        ahead = letter.flip(1).cumsum(1).flip(1) > 0
        behind = (shown & (x == end)).long().cumsum(1) > 0
        out = torch.zeros(*x.shape, self.space_.levels, device=x.device)
        out.masked_fill_(behind[..., None], -torch.inf)
        out[..., end] = torch.zeros(x.shape, device=x.device).masked_fill(ahead, -torch.inf)
        return out

    def _banned(self, known: Tensor) -> Tensor | None:
        """−∞ at the missing level of each cell of a record, and at the end of texts whose length is known."""
        space = self.space_
        if isinstance(space, Record):
            banned = torch.zeros(1, space.size, space.levels)
            for i, (_, cell) in enumerate(space.fields):
                if cell.missing is not None and cell.levels > 1:
                    banned[0, i, cell.missing] = -torch.inf
            return banned
        if self._end is None:
            return None
        banned = torch.zeros(len(known), 1, space.levels)
        banned[:, 0, self._end] = torch.zeros(len(known)).masked_fill(known[:, -1], -torch.inf)
        return banned

    @property
    def _end(self) -> int | None:
        """A text's end symbol."""
        return self.space_.end if isinstance(self.space_, Space) else None

    @property
    def _device(self) -> torch.device:
        return next(self.net_.parameters()).device


def _possible(logits: Tensor) -> Tensor:
    """Logits of which some are above −∞: a place shut to everything, which is not drawn, is opened."""
    shut = (logits == -torch.inf).all(2, keepdim=True)
    return torch.where(shut, torch.zeros_like(logits), logits)
