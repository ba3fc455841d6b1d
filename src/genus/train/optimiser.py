"""Optimisers by name, with weight decay only where it belongs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from genus.errors import UsageError, nearest
from genus.train.adamw import AdamW
from genus.train.muon import Muon, hidden_matrices
from genus.train.recipe import Recipe

norm_each = torch._foreach_norm  # pyright: ignore[reportPrivateImportUsage]
scale_all = torch._foreach_mul_  # pyright: ignore[reportPrivateImportUsage]

NAMES = ("adamw", "adam", "sgd", "rmsprop", "muon")


def parameter_groups(net: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Two groups of the net's trainable parameters: matrices, which decay, and the rest, which do not.

    The rest are biases, gains and other vectors, and everything in normalisation and embedding layers.
    """
    spared = {
        id(p)
        for module in net.modules()
        if isinstance(module, nn.Embedding) or "Norm" in type(module).__name__
        for p in module.parameters(recurse=False)
    }
    decays: list[nn.Parameter] = []
    stays: list[nn.Parameter] = []
    for p in net.parameters():
        if p.requires_grad:
            (stays if p.ndim < 2 or id(p) in spared else decays).append(p)
    groups = [{"params": decays, "weight_decay": weight_decay}, {"params": stays, "weight_decay": 0.0}]
    return [group for group in groups if group["params"]]


def make_optimiser(net: nn.Module, recipe: Recipe, lr: float | None = None) -> torch.optim.Optimizer:
    """The optimiser that `recipe.optimizer` names over the net's parameters.

    References: D. Kingma and J. Ba 2015, Adam, https://arxiv.org/abs/1412.6980; I. Loshchilov and F. Hutter 2019,
    Decoupled weight decay, https://arxiv.org/abs/1711.05101; K. Jordan et al. 2024, Muon (see `genus.train.muon`)
    """
    groups, lr = parameter_groups(net, recipe.weight_decay), recipe.lr if lr is None else lr
    match recipe.optimizer:
        case "adamw":
            return AdamW(groups, lr, (recipe.momentum, recipe.beta2))
        case "adam":
            return torch.optim.Adam(groups, lr, (recipe.momentum, recipe.beta2), fused=True)
        case "sgd":
            return torch.optim.SGD(groups, lr, recipe.momentum, nesterov=recipe.momentum > 0, fused=True)
        case "rmsprop":
            return torch.optim.RMSprop(groups, lr, momentum=recipe.momentum)
        case "muon":
            return Muon(_apart(groups, hidden_matrices(net)), lr, (recipe.momentum, recipe.beta2))
    raise UsageError(f"There is no optimizer {recipe.optimizer!r}; choose {', '.join(NAMES)}.{nearest(recipe.optimizer, NAMES)}")


def _apart(groups: list[dict[str, Any]], turned: set[int]) -> list[dict[str, Any]]:
    """The groups, each split into what Muon turns and what AdamW steps."""
    out = []
    for group in groups:
        for flag in (True, False):
            some = [p for p in group["params"] if (id(p) in turned) == flag]
            out += [group | {"params": some, "orthogonal": flag}] if some else []
    return out


def laid_like(tensor: Tensor, parameter: Tensor) -> Tensor:
    """`tensor` in the memory layout of `parameter`; the fused optimisers read both as flat memory, whatever their strides."""
    if tensor.stride() == parameter.stride() or tensor.shape != parameter.shape:
        return tensor
    return torch.empty_like(parameter).copy_(tensor)


def restore_optimiser(optimiser: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """Put a kept state back, every moment in its parameter's memory layout (files keep tensors contiguous)."""
    optimiser.load_state_dict(state)
    for parameter, moments in optimiser.state.items():
        for name, value in moments.items():
            if isinstance(value, Tensor):
                moments[name] = laid_like(value, parameter)


def clip(gradients: Sequence[Tensor | None], largest: float) -> Tensor:
    """Scale the gradients in place so that their joint norm is at most `largest`; returns the norm before.

    Reference: R. Pascanu, T. Mikolov and Y. Bengio 2013, On the difficulty of training recurrent neural networks,
    https://arxiv.org/abs/1211.5063
    """
    found = [g for g in gradients if g is not None]
    norm = torch.linalg.vector_norm(torch.stack(norm_each(found)))
    if norm.is_cuda:
        scale_all(found, (largest / norm).clamp(max=1.0))
    elif (size := norm.item()) > largest:
        scale_all(found, largest / size)
    return norm
