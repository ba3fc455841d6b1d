"""AdamW in one call a group: for small nets the bookkeeping around a step costs three times its arithmetic."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

add_all = torch._foreach_add_  # pyright: ignore[reportPrivateImportUsage]
step_all = torch._fused_adamw_  # pyright: ignore[reportPrivateImportUsage]


class AdamW(torch.optim.Optimizer):
    """M ← β₁M + (1 − β₁) G; V ← β₂V + (1 − β₂) G²; W ← (1 − lr · decay) W − lr M̂ / (√V̂ + ε), M̂ and V̂ without the start's bias.

    The steps of PyTorch's fused AdamW. Parameters that have always been stepped together share one count of steps, so
    that a group costs two calls however many parameters it has.

    Parameters
    ----------
    groups: of parameters, each with "weight_decay". lr: the learning rate. betas: (β₁, β₂).

    Reference: I. Loshchilov and F. Hutter 2019, Decoupled weight decay, https://arxiv.org/abs/1711.05101
    """

    def __init__(self, groups: list[dict[str, Any]], lr: float, betas: tuple[float, float], **more: Any) -> None:
        held = {"fused": True}  # what load_state_dict asks, to put counts where their parameters are
        super().__init__(groups, {"lr": lr, "betas": betas, "weight_decay": 0.0} | held | more)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """One step along the gradients that the parameters hold; those without one stay."""
        value = closure() if closure else None
        for group in self.param_groups:
            if moved := [p for p in group["params"] if p.grad is not None]:
                self.advance(moved, group)
        return value

    def advance(self, moved: list[Tensor], group: dict[str, Any]) -> None:
        """One step of some of the group's parameters."""
        held = [self.state[p] for p in moved]
        if fresh := [(p, state) for p, state in zip(moved, held, strict=True) if not state]:
            count = torch.zeros((), device=fresh[0][0].device)
            for p, state in fresh:
                state |= {"step": count, "mean": torch.zeros_like(p), "square": torch.zeros_like(p)}
        if len(moved) < len(group["params"]):
            for state in held:
                state["step"] = state["step"].clone()
        counts = [state["step"] for state in held]
        add_all(list({id(count): count for count in counts}.values()), 1)
        means, squares = [state["mean"] for state in held], [state["square"] for state in held]
        gradients = [p.grad for p in moved if p.grad is not None]
        first, second = group["betas"]
        step_all(moved, gradients, means, squares, [], counts, amsgrad=False, lr=group["lr"], beta1=first,
                 beta2=second, weight_decay=group["weight_decay"], eps=1e-8, maximize=False)  # fmt: skip
