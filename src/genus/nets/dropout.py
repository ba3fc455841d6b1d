"""Dropout from sixteen random bits an entry: on a processor the draws cost more than what they are multiplied with."""

from __future__ import annotations

import torch
from torch import Tensor, nn

wrapped = torch._C._functorch.is_functorch_wrapped_tensor  # pyright: ignore[reportPrivateImportUsage, reportAttributeAccessIssue]
LEVELS = 2**16


def kept(like: Tensor, p: float) -> Tensor:
    """A tensor of `like`'s shape and dtype: 0 with probability p (in steps of 1/65,536), else 1 / (1 − p)."""
    dropped = min(LEVELS - 1, round(p * LEVELS))
    bits, n = torch.empty_like(like, dtype=torch.int16), like.numel()
    words = torch.empty(-(-n // 4), dtype=torch.int64, device=like.device).random_(-(2**63), None)
    bits.as_strided((n,), (1,)).copy_(words.view(torch.int16)[:n])
    stays = bits >= dropped - LEVELS // 2
    return stays.view(torch.uint8).to(like.dtype).mul_(LEVELS / (LEVELS - dropped))


class Dropout(nn.Dropout):
    """x ⊙ m / (1 − p) in training, m zero with probability p.

    Reference: N. Srivastava et al. 2014, Dropout, https://jmlr.org/papers/v15/srivastava14a.html
    """

    def forward(self, input: Tensor) -> Tensor:
        if not self.training or not self.p:
            return input
        if input.is_cuda or wrapped(input):
            return super().forward(input)
        return input * kept(input, self.p)
