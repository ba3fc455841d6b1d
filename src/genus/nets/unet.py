"""A U-Net: images and a time in, images out, through ever coarser maps and back."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from genus.nets.dropout import Dropout
from genus.nets.time import TimeFeatures


def _groups(width: int) -> nn.GroupNorm:
    return nn.GroupNorm(next(g for g in (8, 4, 2, 1) if width % g == 0), width)


class Residual(nn.Module):
    """h + conv(drop(silu(scale · norm(conv(silu(norm h))) + shift))), scale and shift told by `signal` (n, s)."""

    def __init__(self, inputs: int, width: int, signal: int, dropout: float) -> None:
        super().__init__()
        self.norm1, self.norm2 = _groups(inputs), _groups(width)
        self.conv1 = nn.Conv2d(inputs, width, 3, padding=1)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)
        self.tell = nn.Linear(signal, 2 * width)
        self.skip = nn.Conv2d(inputs, width, 1) if inputs != width else nn.Identity()
        self.dropout = Dropout(dropout)
        nn.init.zeros_(self.conv2.weight)

    def forward(self, x: Tensor, signal: Tensor) -> Tensor:
        h = self.conv1(functional.silu(self.norm1(x)))
        scale, shift = self.tell(signal)[:, :, None, None].chunk(2, 1)
        h = functional.silu(self.norm2(h) * (1 + scale) + shift)
        return self.skip(x) + self.conv2(self.dropout(h))


class Attention(nn.Module):
    """Every place of a small map looks at every other: softmax(q kᵀ / √d) v, added to what was there."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm, self.read, self.write = _groups(width), nn.Conv2d(width, 3 * width, 1), nn.Conv2d(width, width, 1)
        nn.init.zeros_(self.write.weight)

    def forward(self, x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        q, k, v = self.read(self.norm(x)).reshape(n, 3, c, h * w).transpose(2, 3).unbind(1)
        out = functional.scaled_dot_product_attention(q, k, v)
        return x + self.write(out.transpose(1, 2).reshape(n, c, h, w))


class UNet(nn.Module):
    """A U-Net for images of any size: x (n, C, H, W), t (n,), y (n, condition) ↦ (n, C, H, W).

    Residual blocks at each level, the map halved between levels, and each way up joined by what the way down saw.
    Images are padded by zeros to a size the levels divide, and cropped at the end. Time and condition
    scale and shift every block.

    Parameters
    ----------
    channels: of the image. width: channels of the first level. levels: its multiples, one a level.
    blocks: residual blocks a level. patch: side of the pixel blocks folded into channels first, 1 for none; 2 makes
    every later step four times cheaper. condition: features of y. dropout: of whole activations.

    Reference: J. Ho, A. Jain and P. Abbeel 2020, Denoising diffusion probabilistic models, appendix B,
    https://arxiv.org/abs/2006.11239
    """

    def __init__(
        self,
        channels: int,
        *,
        width: int = 32,
        levels: Sequence[int] = (1, 2),
        blocks: int = 1,
        patch: int = 1,
        condition: int = 0,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        widths, signal, pixels = [width * m for m in levels], 4 * width, channels * patch * patch
        self.patch, self.multiple = patch, patch * 2 ** (len(widths) - 1)
        self.time = nn.Sequential(TimeFeatures(64), nn.Linear(64, signal), nn.SiLU(), nn.Linear(signal, signal))
        self.told = nn.Linear(condition, signal, bias=False) if condition else None
        self.enter = nn.Conv2d(pixels, width, 3, padding=1)
        self.down, self.up, self.coarsen, self.refine = nn.ModuleList(), nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        before = width
        for i, w in enumerate(widths):
            self.down.append(nn.ModuleList(Residual(before if b == 0 else w, w, signal, dropout) for b in range(blocks)))
            self.up.append(nn.ModuleList(Residual(2 * w if b == 0 else w, w, signal, dropout) for b in range(blocks)))
            if i + 1 < len(widths):
                self.coarsen.append(nn.Conv2d(w, w, 3, stride=2, padding=1))
                self.refine.append(nn.Conv2d(widths[i + 1], w, 1))
            before = w
        self.middle = nn.ModuleList([Residual(before, before, signal, dropout), Residual(before, before, signal, dropout)])
        self.attention = Attention(before)
        self.norm, self.leave = _groups(width), nn.Conv2d(width, pixels, 3, padding=1)
        nn.init.zeros_(self.leave.weight)

    def forward(self, x: Tensor, t: Tensor, y: Tensor | None = None) -> Tensor:
        height, breadth = x.shape[2:]
        x = functional.pad(x, (0, -breadth % self.multiple, 0, -height % self.multiple))
        signal = self.time(t)
        if self.told is not None and y is not None:
            signal = signal + self.told(y)
        h = self._through(self.enter(functional.pixel_unshuffle(x, self.patch)), functional.silu(signal))
        out = self.leave(functional.silu(self.norm(h)))
        return functional.pixel_shuffle(out, self.patch)[:, :, :height, :breadth].contiguous()

    def _through(self, h: Tensor, signal: Tensor) -> Tensor:
        seen = []
        for i, level in enumerate(self.down):
            for block in level:  # pyright: ignore[reportGeneralTypeIssues]
                h = block(h, signal)
            seen.append(h)
            if i < len(self.coarsen):
                h = self.coarsen[i](h)
        h = self.middle[1](self.attention(self.middle[0](h, signal)), signal)
        for i in reversed(range(len(self.up))):
            if i < len(self.refine):
                h = functional.interpolate(self.refine[i](h), scale_factor=2.0, mode="nearest")
            h = torch.cat([h, seen[i]], 1)
            for block in self.up[i]:  # pyright: ignore[reportGeneralTypeIssues]
                h = block(h, signal)
        return h
