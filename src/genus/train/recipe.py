"""Recipe: the hyper-parameters of training by steps, the same words in every family."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from torch import nn

from genus.errors import UsageError

GRAPH = ("net", "size", "optimizer", "beta2", "clip", "dropout", "precision")  # fields of training through a graph of gradients


@dataclass(kw_only=True, eq=False, repr=False)
class Recipe:
    """How a family trained by steps is trained.

    Parameters
    ----------
    size: of the default nets. net: a factory, called as net(space, condition) with the Space and how many numbers the
    net is told as condition, whose module replaces the family's `net_` and keeps to its interface (see Attributes).
    steps, epochs, minutes: the budget; the first to end stops the run. The family's own default when all are None.
    batch: items a step and process. lr: the peak learning rate. optimizer: its name (muon: matrices
    of layers by Muon, the rest by AdamW). weight_decay: of matrices only.
    momentum: of SGD and RMSprop, β₁ of Adam. beta2: of Adam.
    schedule: of the learning rate. warmup: steps over which it grows first, at most a tenth of the run.
    clip: the largest gradient norm, 0 for none. ema: decay of the averaged weights (warmed up), 0 for none. dropout: in the nets.
    patience: validations without progress before stopping, 0 for never. device: "auto", "cpu", "cuda".
    precision: of the forward pass; "bf16" halves the digits of matrix products, "auto" chooses it where it is faster.
    epsilon: the promise of differential privacy that training keeps (DP-SGD), None for none. It takes validation away.
    delta: the chance that the promise fails, below one over the number of items.
    """

    holds_out: ClassVar[bool] = True
    default_steps: ClassVar[int] = 3000
    private: ClassVar[bool] = False  # True where fitting sees the data through `descend` alone, so that epsilon covers it

    size: Literal["small", "base", "large"] = "base"
    net: Callable[..., Any] | None = None
    steps: int | None = None
    epochs: int | None = None
    minutes: float | None = None
    batch: int = 128
    lr: float = 1e-3
    optimizer: Literal["adamw", "adam", "sgd", "rmsprop", "muon"] = "adamw"
    weight_decay: float = 0.01
    momentum: float = 0.9
    beta2: float = 0.999
    schedule: Literal["constant", "step", "exponential", "cosine"] = "cosine"
    warmup: int = 100
    clip: float = 1.0
    ema: float = 0.999
    dropout: float = 0.0
    patience: int = 0
    device: str = "auto"
    precision: Literal["auto", "f32", "bf16"] = "auto"
    epsilon: float | None = None
    delta: float = 1e-5

    def _by_hand(self, *more: str) -> None:
        """Raise a UsageError where a field is set that means nothing to a family whose gradients are written by hand."""
        idle = [name for name in (*GRAPH, *more) if getattr(self, name) != getattr(type(self), name)]
        if idle:
            raise UsageError(
                f"{idle[0]} means nothing to {type(self).__name__}, whose gradients are written by hand: leave it out."
            )

    def _own_net(self, space: Any, condition: int, offers: tuple[str, ...] = ()) -> Any:
        """The module that `net` makes, None where there is no factory; raises UsageError unless it has what `offers` names."""
        if self.net is None:
            return None
        made, family = self.net(space, condition), type(self).__name__
        if not isinstance(made, nn.Module):
            raise UsageError(f"net(space, condition) must make a torch.nn.Module, but gave {type(made).__name__}.")
        lacking = [name for name in offers if not hasattr(made, name)]
        if lacking:
            raise UsageError(
                f"{family} also needs {', '.join(lacking)} of its net, which {type(made).__name__} lacks: "
                f"see net_ in help(genus.{family})."
            )
        return made
