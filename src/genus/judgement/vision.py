"""A small convolutional net on the images at hand: as feature space, as reader of labels, as detector."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from genus import dice

WIDTH = 64


class ImageNet(nn.Module):
    """Two convolutions, one hidden layer of 64 features, one output a class."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, 16, 3, padding=1)
        self.second = nn.Conv2d(16, 32, 3, padding=1)
        self.hidden = nn.Linear(32 * 4 * 4, WIDTH)
        self.out = nn.Linear(WIDTH, classes)

    def features(self, x: Tensor) -> Tensor:
        """The hidden layer, (n, 64)."""
        h = F.max_pool2d(F.relu(self.first(x)), 2) if min(x.shape[2:]) >= 8 else F.relu(self.first(x))
        return F.relu(self.hidden(F.adaptive_max_pool2d(F.relu(self.second(h)), 4).flatten(1)))

    def forward(self, x: Tensor) -> Tensor:
        """Logits (n, classes) of images (n, C, H, W)."""
        return self.out(self.features(x))


def tensor(images: np.ndarray, top: float) -> Tensor:
    """uint8 images (n, H, W[, C]) as float32 (n, C, H, W), centred."""
    x = torch.from_numpy(np.ascontiguousarray(images)).float() / top - 0.5
    return x.permute(0, 3, 1, 2) if x.dim() == 4 else x[:, None]


def train(x: Tensor, label: np.ndarray, *, steps: int, seed: int, lr: float = 3e-3) -> ImageNet:
    """A net fitted to labels 0 … k−1 by Adam, the same for the same seed."""
    with dice.private(dice.derive(seed, "judge net")):
        net, y = ImageNet(x.shape[1], int(label.max()) + 1), torch.from_numpy(label.astype(np.int64))
        optimiser = torch.optim.AdamW(net.parameters(), lr=lr, weight_decay=1e-3)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, lr, steps)
        for _ in range(steps):
            i = torch.randint(len(x), (min(64, len(x)),))
            optimiser.zero_grad()
            F.cross_entropy(net(x[i]), y[i]).backward()
            optimiser.step()
            schedule.step()
    return net.eval()


def embed(net: ImageNet, x: Tensor) -> np.ndarray:
    """Features (n, 64) in double precision."""
    with torch.no_grad():
        return torch.cat([net.features(part) for part in x.split(1024)]).double().numpy()


def read(net: ImageNet, x: Tensor) -> np.ndarray:
    """The class (n,) the net sees in each image."""
    with torch.no_grad():
        return torch.cat([net(part).argmax(1) for part in x.split(1024)]).numpy()


def convolutional(*, seed: int = 0, steps: int = 80):
    """A detector that learns from pixels to tell samples from real images."""

    def detect(x: Tensor, label: np.ndarray, held: Tensor) -> np.ndarray:
        net = train(x, label, steps=steps, seed=seed)
        with torch.no_grad():
            out = torch.cat([net(part) for part in held.split(1024)])
        return (out[:, 1] - out[:, 0]).double().numpy()

    return detect
