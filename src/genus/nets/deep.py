"""Deep: the weights of a deep Boltzmann machine, whose even and odd layers are the two sides of a harmonium."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from genus.maths.harmonium import Harmonium
from genus.maths.units import Joined, Units
from genus.nets.restricted import Restricted

SETTLED = 1e-3  # change of the mean field at which it rests


class Deep(nn.Module):
    """Layers v — h₁ — h₂ — … with weights between neighbours; v, h₂, … are drawn at once given h₁, h₃, …, and conversely.

    So a deep machine is a restricted one over (v, h₂, …) and (h₁, h₃, …) with blocks of zeros, of which only v is seen: its
    gradient, chains and log Z are the restricted one's, and the data's side completes h₂, … by mean field.

    Parameters
    ----------
    units: of v. latent: units of each hidden layer. chains, sweeps, decay: as in Restricted. fields: most rounds of mean field.

    Reference: R. Salakhutdinov and G. Hinton 2009, Deep Boltzmann machines,
    https://proceedings.mlr.press/v5/salakhutdinov09a.html; G. Montavon and K.-R. Müller 2012, Deep Boltzmann machines and the
    centering trick, https://doi.org/10.1007/978-3-642-35289-8_33
    """

    mask: Tensor
    filled: Tensor

    def __init__(
        self, units: Units, latent: Sequence[int], chains: int, *, sweeps: int = 5, decay: float = 0.0, fields: int = 10
    ) -> None:
        super().__init__()
        self.units, self.latent, self.fields = units, tuple(latent), fields
        self.wide = [units.count, *latent]
        even, odd = self.wide[2::2], self.wide[1::2]
        self.pair = Restricted(Joined(units, sum(even)), sum(odd), chains, sweeps=sweeps, decay=decay)
        self.register_buffer("mask", self._mask(), persistent=False)
        self.register_buffer("filled", torch.full((sum(even),), 0.5))
        with torch.no_grad():
            self.pair.weight.normal_(0, 0.01).mul_(self.mask)

    def _places(self) -> list[slice]:
        """Where each layer stands on its side."""
        ends, out = [0, 0], []
        for i, width in enumerate(self.wide):
            out.append(slice(ends[i % 2], ends[i % 2] + width))
            ends[i % 2] += width
        return out

    def _mask(self) -> Tensor:
        """1 between neighbouring layers, 0 elsewhere, (even side, odd side)."""
        places = self._places()
        mask = torch.zeros(sum(self.wide[0::2]), sum(self.wide[1::2]))
        for i in range(1, len(self.wide)):
            even, odd = (i, i - 1) if i % 2 == 0 else (i - 1, i)
            mask[places[even], places[odd]] = 1.0
        return mask

    @property
    def machine(self) -> Harmonium:
        """The harmonium over (v, h₂, …) and (h₁, h₃, …)."""
        return self.pair.machine

    def begin(self, mean: Tensor) -> None:
        """Start as independent units of the data's means."""
        self.pair.begin(torch.cat([mean, self.filled]))

    def infer(self, v: Tensor) -> tuple[Tensor, Tensor]:
        """Mean field given v (n, D): (v and the means of h₂, … (n, even side), means of h₁, h₃, … (n, odd side)).

        Rounds of μ ← σ(…) from what twice the bottom-up weights say, until the means rest.
        """
        machine, seen = self.machine, self.units.count
        below = torch.addmm(machine.hidden, v, machine.weight[:seen])
        up, bias = machine.weight[seen:], machine.visible[seen:]
        rest = self.filled.expand(len(v), -1)
        odd = torch.sigmoid(below + rest @ up)
        for _ in range(self.fields):
            before, rest = rest, torch.sigmoid(torch.addmm(bias, odd, up.T))
            odd = torch.sigmoid(torch.addmm(below, rest, up))
            if float((rest - before).abs().mean()) < SETTLED:
                break
        return torch.cat([v, rest], 1), odd

    def learn(self, v: Tensor, lr: float) -> Tensor:
        """One step on the batch v (n, D): data with their mean field against the chains; returns the gap of mean states."""
        pair, n = self.pair, len(v)
        data, odd = self.infer(v)
        h = pair.chain
        for _ in range(pair.sweeps):
            model = pair.units.draw(torch.addmm(pair.visible, h, pair.weight.t()))
            p = torch.addmm(pair.hidden, model, pair.weight).sigmoid_()
            h = torch.rand_like(p).lt_(p)
        pair.chain.copy_(h)
        self.filled.lerp_(data[:, self.units.count :].mean(0), 0.01)
        pair.mean[self.units.count :] = self.filled
        gap = pair.follow(torch.cat([data, model]), torch.cat([odd, p]), n, lr)
        if len(self.latent) > 2:
            pair.weight.mul_(self.mask)
        return gap

    def bound(self, v: Tensor) -> Tensor:
        """E_q[log f(v, h)] + entropy of q, the mean field, (n,): at most log p(v) + log Z, in double precision."""
        even, odd = self.infer(v)
        machine, seen = self.machine, self.units.count
        value = ((even @ machine.weight + machine.hidden) * odd).sum(1, dtype=torch.float64)
        value += (even * machine.visible).sum(1, dtype=torch.float64) - machine.units.base(even)
        return value + _entropy(odd) + _entropy(even[:, seen:])


def _entropy(p: Tensor) -> Tensor:
    """Of independent zeros and ones with probabilities p (n, k), (n,), nats."""
    p = p.double().clamp(1e-12, 1 - 1e-12)
    return -(p * p.log() + (1 - p) * torch.log1p(-p)).sum(1)
