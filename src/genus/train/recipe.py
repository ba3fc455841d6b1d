"""Recipe: the hyper-parameters of training by steps, the same words in every family."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal


@dataclass(kw_only=True, eq=False, repr=False)
class Recipe:
    """How a family trained by steps is trained.

    Parameters
    ----------
    size: of the default nets. net: a factory that replaces them.
    steps, epochs, minutes: the budget; the first to end stops the run. The family's own default when all are None.
    batch: items a step. lr: the peak learning rate. optimizer: its name. weight_decay: of matrices.
    schedule: of the learning rate after `warmup` steps. clip: the largest gradient norm, 0 for none.
    ema: decay of the averaged weights (warmed up), 0 for none. dropout: in the nets.
    patience: validations without progress before stopping, 0 for never. device: "auto", "cpu", "cuda".
    """

    holds_out: ClassVar[bool] = True
    default_steps: ClassVar[int] = 3000

    size: Literal["small", "base", "large"] = "base"
    steps: int | None = None
    epochs: int | None = None
    minutes: float | None = None
    batch: int = 128
    lr: float = 1e-3
    optimizer: Literal["adamw", "adam", "sgd", "rmsprop"] = "adamw"
    weight_decay: float = 0.01
    schedule: Literal["constant", "step", "exponential", "cosine"] = "cosine"
    warmup: int = 100
    clip: float = 1.0
    ema: float = 0.999
    dropout: float = 0.0
    patience: int = 0
    device: str = "auto"
