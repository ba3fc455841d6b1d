"""Autoencoder: a code and back, trained by reconstruction; a density of the codes makes it a generative model."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from sklearn.base import clone
from torch import Tensor, nn

from genus.capability import Bound, Conditional, Density, Latent
from genus.errors import UsageError
from genus.maths.quantise import Packed
from genus.model import Model
from genus.nets.default import Body, decoder_for, encoder_for, half, is_image
from genus.nets.heads import Head, head_for
from genus.nets.prior import log_normal, mixed
from genus.space import AnySpace, Items, Space
from genus.train.descend import descend
from genus.train.recipe import Recipe
from genus.train.run import Run

KEPT = 5000  # codes of training items behind the default density
WIDTHS = 2.0 ** -torch.arange(0, 9)  # tried as the width of q(z | x), in deviations of the codes


@dataclass(kw_only=True, eq=False, repr=False)
class Autoencoder(Recipe, Bound, Latent, Conditional):
    """A code z = e(x) of few numbers from which x is read back: maximises log p(x | e(x)) over the data.

    Noise on the items makes it denoising, a penalty on the encoder's slopes contractive, one on the codes sparse. A density
    fitted to the codes afterwards makes it generate: z ~ p(z), x ~ p(x | z). Of that model it knows a bound,
    log p(x) ≥ E_q [log p(x | z) + log p(z) − log q(z | x)] with q(z | x) = N(e(x), s²), s chosen where the bound is highest.

    Parameters
    ----------
    latent: numbers in a code; chosen by the Space when None.
    noise: of denoising: the deviation added to real entries and to levels (in units of half their range), or the share of
    binary and unordered entries that are drawn anew.
    contractive: weight of the squared slopes ‖∂e/∂x‖² of the encoder. sparse: weight of Σ|z|.
    density: of the codes, any Density (a mixture, a kernel density, a flow); when None, a kernel density by Scott's rule.
    body: of the nets; "mlp" reads images as vectors. temperature: of p(x | z) in `sample`; 0 gives the likeliest item.
    floor: the smallest standard deviation of a real entry.

    Attributes
    ----------
    net_: encoder, decoder and head. density_: the fitted density of the codes; without one codes_ (k, latent) and
    band_ (latent,), the kernels' places and bandwidths. width_: (latent,) s, as above.

    Reference: G. Hinton and R. Salakhutdinov 2006, Reducing the dimensionality of data with neural networks,
    https://doi.org/10.1126/science.1127647; P. Vincent et al. 2008, Extracting and composing robust features with denoising
    autoencoders, https://doi.org/10.1145/1390156.1390294; S. Rifai et al. 2011, Contractive auto-encoders, ICML;
    P. Ghosh et al. 2020, From variational to deterministic autoencoders, https://arxiv.org/abs/1903.12436
    """

    accepts: ClassVar[tuple[str, ...]] = ("levels", "binary", "category", "record", "real")
    default_steps: ClassVar[int] = 1500

    latent: int | None = None
    noise: float = 0.0
    contractive: float = 0.0
    sparse: float = 0.0
    density: Model | None = None
    body: Body = "auto"
    temperature: float = 1.0
    floor: float = 0.05

    def _check(self) -> None:
        if self.latent is not None and self.latent < 1:
            raise UsageError(f"latent counts the numbers in a code: give 1 or more, not {self.latent}.")
        for name in ("noise", "contractive", "sparse", "temperature"):
            if getattr(self, name) < 0:
                raise UsageError(f"{name} must be 0 or more, not {getattr(self, name)}.")
        if self.floor <= 0:
            raise UsageError(f"floor is a standard deviation: give a positive number, not {self.floor}.")
        if self.density is not None and not isinstance(self.density, Density):
            raise UsageError(
                f"density={type(self.density).__name__} has no exact density: give a Density, such as mixture or flow."
            )

    def _build(self) -> None:
        own = self._own_net(self.space_, self.width_y, ("encoder", "decoder", "head"))
        latent, head = self.latent or _latent_for(self.space_), head_for(self.space_, floor=self.floor)
        options: dict[str, Any] = {"size": self.size, "condition": self.width_y, "dropout": self.dropout, "body": self.body}
        self.net_: Nets = own or Nets(
            encoder_for(self.space_, latent, **options), decoder_for(self.space_, latent, head.raw, **options), head
        )

    # -- hooks --------------------------------------------------------------------------------------------

    def _fit(self, x: Packed, y: Tensor | None, run: Run) -> None:
        self.history_ = descend(self.net_, self._loss, x, y, recipe=self, run=run, evaluate=self._error)
        self.net_.eval()
        with torch.no_grad():
            pieces = [self._encode(x[i], None if y is None else y[i]).cpu() for i in torch.arange(len(x)).split(self.chunk)]
        z = torch.cat(pieces)
        if self.density is None:
            picked = z[torch.randperm(len(z))[:KEPT]]
            self.codes_, self.band_ = picked, _scott(picked)
        else:
            fresh: Any = clone(self.density)  # pyright: ignore[reportArgumentType]
            items = Items(z, Space("real", (z.shape[1],)))
            given = y if isinstance(self.density, Conditional) else None
            self.density_: Any = fresh.fit(items, given, run=run.part("density"))
        some = torch.randperm(len(x))[:512]
        self.width_ = self._widest(x[some], None if y is None else y[some], z.std(0).clamp_min(1e-6))

    def _widest(self, x: Tensor, y: Tensor | None, spread: Tensor) -> Tensor:
        """The width of q(z | x) with the highest bound."""
        found = []
        with torch.no_grad():
            for share in WIDTHS:
                self.width_ = spread * share
                found.append(float(self._bound(x, y, 2).mean()))
        return spread * WIDTHS[int(torch.tensor(found).nan_to_num(-math.inf).argmax())]

    def _loss(self, x: Tensor, y: Tensor | None) -> Tensor:
        net = self.net_
        seen = self._noisy(x) if self.noise else x
        with half(x.device, "f32" if self.space_.kind == "real" and not is_image(self.space_) else self.precision):
            z = net.encoder(seen, y).float()
            raw = net.decoder(z, y).float()
        loss = -net.head.log_prob(raw, x)
        if self.sparse:
            loss = loss + self.sparse * z.abs().sum(1)
        return loss + self.contractive * self._slopes(seen, y) if self.contractive else loss

    def _error(self, x: Tensor, y: Tensor | None) -> Tensor:
        """−log p(x | e(x)), (n,)."""
        return -self.net_.head.log_prob(self.net_.decoder(self.net_.encoder(x, y), y).float(), x)

    def _slopes(self, x: Tensor, y: Tensor | None) -> Tensor:
        """‖∂e/∂u‖² of each item, (n,), u the item as the first layer sees it: Hutchinson's estimate by one random direction."""
        if not isinstance(enter := getattr(self.net_.encoder, "enter", None), nn.Module):
            raise UsageError("contractive wants an encoder with enter and body, as the default nets have: leave net out.")
        again = torch.is_grad_enabled()
        with torch.enable_grad():
            u = enter(x).detach().requires_grad_()
            z = self.net_.encoder.body(u, y)  # pyright: ignore[reportCallIssue]
            (slope,) = torch.autograd.grad((z * torch.randn_like(z)).sum(), u, create_graph=again)
        return slope.flatten(1).square().sum(1)

    def _noisy(self, x: Tensor) -> Tensor:
        """The items with noise; entries that have no order are drawn anew from the batch."""
        space = self.space_
        if space.kind == "real":
            return x + self.noise * torch.randn_like(x)
        if space.kind == "levels":
            moved = x.float() + self.noise * (space.levels - 1) / 2 * torch.randn(x.shape, device=x.device)
            return moved.round().clamp(0, space.levels - 1).to(x.dtype)
        other = x[torch.randperm(len(x), device=x.device)]
        return torch.where(torch.rand(x.shape, device=x.device) < self.noise, other, x)

    def _log_p(self, z: Tensor, y: Tensor | None) -> Tensor:
        """log p(z), (n,)."""
        if self.density is None:
            weight = z.new_full((len(self.codes_),), -math.log(len(self.codes_)))
            return mixed(z, weight, self.codes_, self.band_.log().expand_as(self.codes_))
        return self.density_._log_prob(z, y if self.density_.width_y else None)

    def _bound(self, x: Tensor, y: Tensor | None, draws: int) -> Tensor:
        net, found = self.net_, []
        at = self._encode(x, y).cpu()
        for _ in range(draws):
            z = at + self.width_ * torch.randn_like(at)
            log_q = log_normal(z, at, self.width_.log())
            log_x = net.head.log_prob(net.decoder(net.moved(z), net.moved(y)).float(), net.moved(x)).cpu()
            found.append(log_x + self._log_p(z, y) - log_q)
        return torch.stack(found).logsumexp(0) - math.log(draws)

    def _sample(self, n: int, y: Tensor | None) -> Tensor:
        if self.density is None:
            z = self.codes_[torch.randint(len(self.codes_), (n,))] + self.band_ * torch.randn(n, self.codes_.shape[1])
        else:
            z = self.density_._sample(n, y if self.density_.width_y else None)
        return self.net_.head.sample(self.net_.decoder(self.net_.moved(z), self.net_.moved(y)).float(), self.temperature).cpu()

    def _encode(self, x: Tensor, y: Tensor | None) -> Tensor:
        return self.net_.encoder(self.net_.moved(x), self.net_.moved(y)).float()

    def _decode(self, z: Tensor, y: Tensor | None) -> Tensor:
        net = self.net_
        return net.head.mode(net.decoder(net.moved(z), net.moved(y)).float()).cpu()


class Nets(nn.Module):
    """An autoencoder's nets.

    Parameters
    ----------
    encoder: x, y ↦ z (n, latent). decoder: z, y ↦ raw (n, *head.raw). head: p(x | raw).
    """

    def __init__(self, encoder: nn.Module, decoder: nn.Module, head: Head) -> None:
        super().__init__()
        self.encoder, self.decoder, self.head = encoder, decoder, head

    def moved(self, x: Any) -> Any:
        """x where the parameters are."""
        return None if x is None else x.to(next(self.parameters()).device)


def _scott(z: Tensor) -> Tensor:
    """Scott's bandwidth of each entry, (latent,): its deviation times n^(−1/(d + 4))."""
    return (z.std(0) * len(z) ** (-1 / (z.shape[1] + 4))).clamp_min(1e-6)


def _latent_for(space: AnySpace) -> int:
    """32 for images, 16 for small ones; for vectors and records half as many as entries, 2 to 32."""
    if is_image(space):
        return 32 if space.size > 256 else 16
    return max(2, min(32, space.size // 2))
