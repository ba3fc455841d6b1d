"""VAE: a deep latent variable model, fitted by the evidence lower bound."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import torch
from sklearn.base import clone
from torch import Tensor

from genus.capability import Bound, Conditional, Density, Estimate, Latent
from genus.errors import UsageError
from genus.maths.bijection import Chain
from genus.maths.quantise import Packed
from genus.model import Model
from genus.nets.coder import Coder
from genus.nets.default import WIDTH, Body, decoder_for, encoder_for, half, is_image
from genus.nets.heads import head_for
from genus.nets.ladder import Ladder
from genus.nets.prior import Flow, Mixture, Normal, Prior, Vamp, autoregressions, couplings
from genus.space import AnySpace, Items, Space
from genus.train.descend import descend
from genus.train.recipe import Recipe
from genus.train.run import Run

ACTIVE = 0.01  # a unit whose mean code varies less than this over the data is dead (Burda et al. 2016)
ROWS = 16384  # codes decoded at once where an item has many
WATCHED = 256  # items whose latent units are counted while training
LAYERS = 4  # of the flows of codes
CONTEXT = 64  # numbers the encoder tells a flow


@dataclass(kw_only=True, eq=False, repr=False)
class VAE(Recipe, Bound, Estimate, Latent, Conditional):
    """The variational autoencoder: z ~ p(z), x ~ p(x | z), with a learnt approximate posterior q(z | x).

    log p(x) ≥ E_q [log p(x | z)] − β KL(q(z | x) ‖ p(z)),   q(z | x) = N(μ(x), diag σ²(x)), p(z) = N(0, I) unless asked.

    The likelihood fits the data: Bernoulli for binary entries, categorical for up to 32 levels, a discretised
    mixture of logistics for more, softmax cells for tables, normal with learnt variance for reals. The bound is
    always that of the model itself (β = 1, temperature 1), whatever the training weighs.

    Parameters
    ----------
    latent: numbers in a code; chosen by the Space when None. beta: weight of the KL, 1 for the bound itself.
    kl_warmup: steps over which the weight of the KL grows from 0. free_bits: nats a latent unit may cost freely.
    importance: codes an item whose importance-weighted bound is maximised, 1 for the evidence lower bound.
    prior: of codes: the normal, a "mixture" of normals, the "vamp" mixture of posteriors (Tomczak and Welling 2018), a
    "flow" of couplings or an "autoregressive" one, all trained along; or any Density, fitted to the codes at the end.
    posterior: "normal", or moved by a "flow" of couplings (Rezende and Mohamed 2015) or an inverse "autoregressive" one
    (Kingma et al. 2016).
    components: of the mixture or vamp prior. levels: of a ladder of codes, each given the one above (Sønderby et al. 2016).
    body: of the nets; "mlp" reads images as vectors, "auto" by convolutions.
    temperature: of p(x | z) in `sample` only; 1 samples the model, smaller draws entries nearer to their mode,
    which looks cleaner and varies less than what the bound scores; 0 gives the mode given z.
    floor: the smallest standard deviation of a real entry, in units of its own. lr: 2e-3 for real vectors, else 1e-3.
    draws: codes an item of `log_prob_estimate`.

    Attributes
    ----------
    net_: the Coder: encoder, decoder and head. A net of your own is one, Coder(latent, head, encoder, decoder).
    active_: how many latent units the data use. kl_: (latent,) nats a unit, where they have a closed form.
    prior_: the fitted prior where a model was given.

    Reference: D. P. Kingma and M. Welling 2014, Auto-encoding variational Bayes, https://arxiv.org/abs/1312.6114;
    Y. Burda, R. Grosse and R. Salakhutdinov 2016, Importance weighted autoencoders, https://arxiv.org/abs/1509.00519
    """

    accepts: ClassVar[tuple[str, ...]] = ("levels", "binary", "category", "record", "real")
    private: ClassVar[bool] = True

    lr: float | None = None  # pyright: ignore[reportIncompatibleVariableOverride]
    latent: int | None = None
    beta: float = 1.0
    kl_warmup: int = 300
    free_bits: float = 0.0
    importance: int = 1
    prior: Literal["normal", "mixture", "vamp", "flow", "autoregressive"] | Model = "normal"
    posterior: Literal["normal", "flow", "autoregressive"] = "normal"
    components: int = 100
    levels: int = 1
    body: Body = "auto"
    temperature: float = 1.0
    floor: float = 0.01
    draws: int = 50

    def _check(self) -> None:
        for name, what in (("latent", "the numbers in a code"), ("importance", "codes an item"), ("levels", "levels of codes"),
                           ("components", "normals of the prior"), ("draws", "codes an item")):  # fmt: skip
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UsageError(f"{name} counts {what}: give 1 or more, not {value}.")
        for name in ("beta", "kl_warmup", "free_bits", "temperature"):
            if getattr(self, name) < 0:
                raise UsageError(f"{name} must be 0 or more, not {getattr(self, name)}.")
        if self.floor <= 0:
            raise UsageError(f"floor is a standard deviation: give a positive number, not {self.floor}.")
        if isinstance(self.prior, Model) and not isinstance(self.prior, Density):
            raise UsageError(f"prior={type(self.prior).__name__} has no exact density of codes: give a Density, such as flow.")
        if isinstance(self.prior, Model) and self.epsilon is not None:
            raise UsageError("A prior that is fitted to the codes sees the data without noise: leave epsilon or the prior out.")
        if self.levels > 1 and (self.prior != "normal" or self.posterior != "normal"):
            raise UsageError("levels above 1 bring a prior and a posterior of their own: leave prior and posterior out.")

    def _build(self) -> None:
        needs = ("latent", "posterior", "codes", "place", "drawn", "decoder", "head", "warm", "moved")
        own = self._own_net(self.space_, self.width_y, needs)
        self.net_: Coder = own or self._coder()

    @property
    def default_steps(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        """3000 for real vectors, whose steps are cheap, else 1500."""
        return 3000 if self._vector else 1500

    @property
    def _vector(self) -> bool:
        return hasattr(self, "space_") and self.space_.kind == "real" and not is_image(self.space_)

    def _coder(self) -> Coder:
        latent, head = self.latent or _latent_for(self.space_), head_for(self.space_, floor=self.floor)
        options: dict[str, Any] = {"size": self.size, "condition": self.width_y, "dropout": self.dropout, "body": self.body}
        width = WIDTH[self.size]
        if self.levels > 1:
            sizes = tuple(max(2, latent // 2**i) for i in range(self.levels))
            decoder = decoder_for(self.space_, sum(sizes), head.raw, **options)
            return Ladder(sizes, head, encoder_for(self.space_, width, **options), decoder, width)
        context = 0 if self.posterior == "normal" else CONTEXT
        flow = self._flow(self.posterior, latent, context) if context else None
        encoder = encoder_for(self.space_, 2 * latent + context, **options)
        net = Coder(latent, head, encoder, decoder_for(self.space_, latent, head.raw, **options), flow=flow)
        net.prior = self._prior(net, latent)
        return net

    def _prior(self, net: Coder, latent: int) -> Prior:
        """The prior that is trained along with the net."""
        match self.prior:
            case "mixture":
                return Mixture(latent, self.components)
            case "flow" | "autoregressive":
                return Flow(latent, self._flow(self.prior, latent))
            case "vamp":
                shape = net.entered(_blank(self.space_)).shape[1:]
                return Vamp(latent, torch.zeros(self.components, *shape), net.read)
        return Normal(latent)

    def _flow(self, kind: str, latent: int, condition: int = 0) -> Chain:
        """A chain of bijections of codes, begun at the identity."""
        make, width = (couplings, WIDTH[self.size] // 2) if kind == "flow" else (autoregressions, WIDTH[self.size])
        return make(latent, LAYERS, width, condition)

    def _fit(self, x: Packed, y: Tensor | None, run: Run) -> None:
        rows = torch.arange(min(len(x), 2048))
        some, cond = x[rows], None if y is None else y[rows]
        recipe = replace(self, lr=self.lr or (2e-3 if self._vector else 1e-3))
        recipe.space_, recipe.codec_, recipe.condition_ = self.space_, self.codec_, self.condition_
        self._begin(x)
        few, given = some[:WATCHED], None if cond is None else cond[:WATCHED]
        watch = {"evaluate": self._negative_bound, "watch": lambda: self._units(few, given)}
        self.history_ = descend(self.net_, self._loss, x, y, recipe=recipe, run=run, **watch)
        self.net_.eval()
        if isinstance(self.prior, Model):
            self._fit_prior(self.prior, x, y, run)
        if self.epsilon is None:
            self._take_stock(some, cond)
        else:
            self.privacy_ = recipe.privacy_

    def _begin(self, x: Packed) -> None:
        """Pseudo-inputs begin at items of the data, with noise; not under privacy, where they begin at noise alone."""
        prior = self.net_.prior
        if isinstance(prior, Vamp):
            picked = torch.randint(len(x), (len(prior.inputs),))
            with torch.no_grad():
                seen = torch.zeros_like(prior.inputs) if self.epsilon else self.net_.entered(x[picked])
                prior.inputs.copy_(seen + 0.1 * torch.randn_like(prior.inputs))

    def _fit_prior(self, prior: Model, x: Packed, y: Tensor | None, run: Run) -> None:
        """The density of the codes that the data have, each drawn from its posterior."""
        z = []
        with torch.no_grad():
            for i in torch.arange(len(x)).split(self.chunk):
                z.append(self.net_.codes(self.net_.moved(x[i]), self.net_.moved(None if y is None else y[i])).z[0].cpu())
        fresh: Any = clone(prior)  # pyright: ignore[reportArgumentType]
        items, cond = Items(torch.cat(z), Space("real", (self.net_.latent,))), y if isinstance(prior, Conditional) else None
        self.prior_: Any = fresh.fit(items, cond, run=run.part("prior"))

    # -- the objective ------------------------------------------------------------------------------------

    def _loss(self, x: Tensor, y: Tensor | None) -> Tensor:
        """−bound of each item, as weighted; for several codes an item the doubly reparameterised gradient of the encoder.

        Reference: G. Tucker et al. 2019, Doubly reparameterized gradient estimators, https://arxiv.org/abs/1810.04152
        """
        net, k = self.net_, self.importance
        sharp = k > 1 and net.flow is None and not isinstance(net, Ladder)
        with half(x.device, "f32" if self._vector else self.precision):
            z, log_ratio, kl = net.codes(x, y, k, sharp=sharp)
            if sharp and z.requires_grad:
                weights: list[Tensor] = []
                z.register_hook(lambda gradient: weights[0][..., None] * gradient)
            raw = net.decoder(z.flatten(0, 1), _again(y, k)).float()
        log_x = net.head.log_prob(raw, _again(x, k)).view(k, -1)
        weight = self.beta * net.warm(self.kl_warmup)
        if k == 1:
            kl = -log_ratio[0][:, None] if kl is None else kl
            free = self.free_bits * net.latent / kl.shape[1]
            if free:
                kl = torch.where(kl.mean(0) > free, kl, free)
            return weight * kl.sum(1) - log_x[0]
        log_w = log_x + weight * log_ratio
        bound = log_w.logsumexp(0) - math.log(k)
        if not sharp:
            return -bound
        share = log_w.detach().softmax(0)
        if z.requires_grad:
            weights.append(share)  # pyright: ignore[reportPossiblyUnboundVariable]
        surrogate = (share * log_w).sum(0)
        return -(bound.detach() + surrogate - surrogate.detach())

    def _negative_bound(self, x: Tensor, y: Tensor | None) -> Tensor:
        return -self._bound(x, y, self.importance)

    def _log_weights(self, x: Tensor, y: Tensor | None, draws: int) -> Tensor:
        """log p(x | z) + log p(z) − log q(z | x) of codes drawn from q, (draws, n)."""
        net, found = self.net_, []
        x, y = net.moved(x), net.moved(y)
        for start in range(0, draws, step := max(1, ROWS // max(1, len(x)))):
            k = min(step, draws - start)
            z, log_ratio, _ = net.codes(x, y, k)
            if hasattr(self, "prior_"):
                inner = _again(y, k) if self.prior_.width_y else None
                log_ratio = log_ratio - net.prior.log_prob(z) + self.prior_._log_prob(z.flatten(0, 1).cpu(), inner).view(k, -1)
            found.append(net.head.log_prob(net.decoder(z.flatten(0, 1), _again(y, k)), _again(x, k)).view(k, -1) + log_ratio)
        return torch.cat(found)

    def _bound(self, x: Tensor, y: Tensor | None, draws: int) -> Tensor:
        """log (1/K) Σₖ p(x | zₖ) p(zₖ) / q(zₖ | x) with K draws; for K = 1 the KL is taken in closed form where there is one.

        Reference: Y. Burda, R. Grosse and R. Salakhutdinov 2016, Importance weighted autoencoders,
        https://arxiv.org/abs/1509.00519
        """
        net = self.net_
        x, y = net.moved(x), net.moved(y)
        if draws == 1 and not hasattr(self, "prior_"):
            z, log_ratio, kl = net.codes(x, y)
            log_x = net.head.log_prob(net.decoder(z[0], y), x)
            return log_x + log_ratio[0] if kl is None else log_x - kl.sum(1)
        return self._log_weights(x, y, draws).logsumexp(0) - math.log(draws)

    def _estimate(self, x: Tensor, y: Tensor | None) -> tuple[Tensor, Tensor]:
        """The importance-sampled log p(x) and its standard error, by the spread of the weights (the delta method)."""
        log_w = self._log_weights(x, y, max(2, self.draws)).double()
        total = log_w.logsumexp(0)
        share = (log_w - total).exp() * len(log_w)  # weights over their mean
        return total - math.log(len(log_w)), share.std(0) / math.sqrt(len(log_w))

    def _sample(self, n: int, y: Tensor | None) -> Tensor:
        net = self.net_
        z = self.prior_._sample(n, y if self.prior_.width_y else None) if hasattr(self, "prior_") else net.drawn(n)
        return net.head.sample(net.decoder(net.moved(z), net.moved(y)), self.temperature).cpu()

    def _encode(self, x: Tensor, y: Tensor | None) -> Tensor:
        return self.net_.place(self.net_.moved(x), self.net_.moved(y))[0]

    def _decode(self, z: Tensor, y: Tensor | None) -> Tensor:
        net = self.net_
        if z.dim() != 2 or z.shape[1] != net.latent:
            raise UsageError(
                f"A code of this model is {net.latent} numbers: give an array (n, {net.latent}), not {tuple(z.shape)}."
            )
        return net.head.mode(net.decoder(net.moved(z), net.moved(y))).cpu()

    def _units(self, x: Tensor, y: Tensor | None) -> dict[str, float]:
        """The KL of a code, in nats, where it has a closed form, and how many latent units are in use."""
        with torch.no_grad():
            x, y = self.net_.moved(x), self.net_.moved(y)
            place, kl = self.net_.place(x, y)
        self.active_ = int((place.var(0) > ACTIVE).sum())
        if kl is None:
            return {"active_units": self.active_}
        self.kl_ = kl.mean(0).cpu()
        return {"kl": float(self.kl_.sum()), "active_units": self.active_}

    def _take_stock(self, x: Tensor, y: Tensor | None) -> None:
        """Count the latent units in use at the end; warn where none is."""
        entry: dict[str, Any] = self._units(x, y)
        self.history_ = [*self.history_[:-1], {**(self.history_[-1] if self.history_ else {}), **entry}]
        if self.active_ == 0:
            warnings.warn(
                f"Posterior collapse: none of the {self.net_.latent} latent units is in use, so that every code means the same; "
                "train longer, raise free_bits (0.1) or lower beta (0.5).",
                stacklevel=4,
            )


def _again(x: Any, k: int) -> Any:
    """The items k times over, one round after the other."""
    return x if x is None or k == 1 else x.repeat(k, *[1] * (x.dim() - 1))


def _blank(space: AnySpace) -> Tensor:
    """One item of zeros."""
    return torch.zeros((1, *space.shape), dtype=space.dtype)


def _latent_for(space: AnySpace) -> int:
    """32 for images, 16 for small ones; for vectors and records about as many as entries, 4 to 32."""
    if is_image(space):
        return 32 if space.size > 256 else 16
    return max(4, min(32, space.size))
