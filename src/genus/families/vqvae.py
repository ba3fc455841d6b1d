"""VQVAE: an item as a grid of discrete codes, and a prior over such grids."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import torch
from sklearn.base import clone
from torch import Tensor

from genus.capability import Bound, Conditional, Density, Latent
from genus.errors import UsageError
from genus.maths.codebook import FiniteScalar, Gradient, Quantiser, Residual, Use, use
from genus.maths.quantise import Packed
from genus.model import Model
from genus.nets.default import CHANNELS, DEPTH, Body, Encoder, Enter, decoder_for, encoder_for, half, is_image
from genus.nets.heads import head_for
from genus.nets.quantised import CodeRaster, Flat, GridDecoder, GridEncoder, Quantised, Top, halved
from genus.space import Items, Space
from genus.train.descend import descend
from genus.train.recipe import Recipe
from genus.train.run import Run

WATCHED = 1024  # items whose codes are counted while training
COLLAPSED = 0.05  # a smaller share of codes in use is worth a warning
PRIOR = {"small": (32, 2), "base": (64, 5), "large": (128, 8)}  # features and layers of the default prior


@dataclass(kw_only=True, eq=False, repr=False)
class VQVAE(Recipe, Bound, Latent, Conditional):
    """The vector-quantised autoencoder: c = round(e(x)) from a finite book, x ~ p(x | c), and a prior p(c) over grids of codes.

    Trained by −log p(x | c(x)) + β D ‖e(x) − sg[v_c]‖² / d with the gradient passed straight through the rounding; v, the
    vectors of the book, follow the encoder by moving averages. Then the prior is fitted to the codes of the data. Since
    p(x) = Σ_c p(c) p(x | c), one term is a bound without any chance in it, of discrete and of real x:
    log p(x) ≥ log p(x | c(x)) + log p(c(x)).

    Parameters
    ----------
    codes: in a book; when None 256 for images and 64 else, fewer for little data. A book larger than the vectors to be rounded
    is made smaller, with a warning. latent: numbers in a code's vector.
    quantiser: "ema" learns the vectors, "fsq" rounds a few numbers each to a few values (Mentzer et al. 2024).
    residual: codes a place, each for what those before left over (with "fsq" side by side); when None 1, for vectors 4.
    levels: 2 for a coarser grid of codes above the grid, as in VQ-VAE-2; of images only.
    stride: pixels a side of the square behind one code, a power of two; chosen by the size of the image when None.
    commitment: β. gradient: through the rounding: "straight", or by "rotation" (Fifty et al. 2025).
    decay: of the moving averages. expire: a code used less than this share of the mean use is moved onto the data, 0 for never.
    prior: any Density or Bound of grids of categories, fitted to the codes; when None a gated PixelCNN trained with this
    recipe: steps and epochs are then those of either training, and minutes are shared.
    body: of the nets; "mlp" reads images as vectors. temperature: of p(x | c) in `sample`; 0 gives the likeliest x.
    floor: the smallest standard deviation of a real entry, in units of its own.
    ema: of the prior, and of the nets where no book follows them.

    Attributes
    ----------
    net_: the Quantised: encoder, decoder, book and head. codes_: at most in a book. usage_, perplexity_: of each book, by
    validation items: the share of its codes in use, and e to the entropy of their frequencies. prior_: the fitted prior that was
    given, else raster_, the net of the default one, and prior_history_.

    Reference: A. van den Oord, O. Vinyals and K. Kavukcuoglu 2017, Neural discrete representation learning,
    https://arxiv.org/abs/1711.00937
    """

    accepts: ClassVar[tuple[str, ...]] = ("levels", "binary", "category", "record", "real")
    default_steps: ClassVar[int] = 1500

    codes: int | None = None
    latent: int = 32
    quantiser: Literal["ema", "fsq"] = "ema"
    residual: int | None = None
    levels: int = 1
    stride: int | None = None
    commitment: float = 0.25
    gradient: Gradient = "straight"
    decay: float = 0.95
    expire: float = 0.1
    prior: Model | None = None
    body: Body = "auto"
    temperature: float = 1.0
    floor: float = 0.05

    def _check(self) -> None:
        for name, least in (("codes", 2), ("latent", 1), ("residual", 1)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise UsageError(f"{name} must be {least} or more, not {value}.")
        if self.levels not in (1, 2):
            raise UsageError(f"levels counts grids of codes: give 1 or 2, not {self.levels}.")
        if self.stride is not None and (self.stride < 2 or self.stride & (self.stride - 1)):
            raise UsageError(f"stride must be a power of two, such as 4, not {self.stride}.")
        for name in ("commitment", "expire", "temperature"):
            if getattr(self, name) < 0:
                raise UsageError(f"{name} must be 0 or more, not {getattr(self, name)}.")
        if not 0 <= self.decay < 1:
            raise UsageError(f"decay is of a moving average: give 0 or more and less than 1, not {self.decay}.")
        if self.floor <= 0:
            raise UsageError(f"floor is a standard deviation: give a positive number, not {self.floor}.")
        if self.prior is not None and not isinstance(self.prior, Density | Bound):
            raise UsageError(
                f"prior={type(self.prior).__name__} has neither a density nor a bound: give one that has, such as pixelcnn."
            )

    # -- the nets -----------------------------------------------------------------------------------------

    def _build(self) -> None:
        needs = (
            "read",
            "look",
            "split",
            "drawn",
            "undrawn",
            "decoder",
            "head",
            "books",
            "codes",
            "grids",
            "picture",
            "place",
            "moved",
        )
        self.net_: Quantised = self._own_net(self.space_, self.width_y, needs) or self._nets()
        if self.prior is None:
            width, depth = PRIOR[self.size]
            options: dict[str, Any] = {"condition": self.width_y, "dropout": self.dropout}
            self.raster_ = CodeRaster(self._pictures, self.net_.place, width=width, depth=depth, **options)

    @property
    def _image(self) -> bool:
        return is_image(self.space_) and self.body == "auto"

    @property
    def _pictures(self) -> Space:
        """What the prior is a model of."""
        return Space("category", self.net_.picture, self.net_.codes)

    def _book(self) -> Quantiser:
        codes = getattr(self, "codes_", None) or self.codes or (256 if self._image else 64)
        levels = self.residual or (1 if self._image else 4)
        if self.quantiser == "fsq":
            return FiniteScalar(codes, self.latent, levels)
        return Residual(codes, self.latent, levels, decay=self.decay, expire=self.expire, gradient=self.gradient)

    def _nets(self) -> Quantised:
        space, latent, head = self.space_, self.latent, head_for(self.space_, floor=self.floor)
        options: dict[str, Any] = {"condition": self.width_y, "dropout": self.dropout}
        if not self._image:
            if self.levels > 1:
                raise UsageError("levels=2 are two grids of codes, which only images have: give residual=8 instead.")
            options |= {"size": self.size, "body": self.body}
            encoder = Flat(encoder_for(space, latent, **options), enters=False)
            return Quantised(head, encoder, Flat(decoder_for(space, latent, head.raw, **options), enters=True), self._book())
        options |= {"channels": CHANNELS[self.size], "depth": DEPTH[self.size]}
        sides, enter = space.shape[1:], Enter(space)
        times = self._halvings(max(sides))
        grid = halved(sides[0], sides[1], times)[-1]
        encoder = Encoder(enter, GridEncoder(enter.shape[0], latent, times, **options))
        decoder = GridDecoder(latent * self.levels, head.raw, times, **options)
        top = Top(self._book(), latent, grid, self.width_y) if self.levels > 1 else None
        return Quantised(head, encoder, decoder, self._book(), grid, top)

    def _halvings(self, side: int) -> int:
        """As many as make a grid of at most 8 places a side, 16 for large images."""
        if self.stride is not None:
            return self.stride.bit_length() - 1
        return max(1, math.ceil(math.log2(side / (8 if side <= 32 else 16))))

    # -- fitting ------------------------------------------------------------------------------------------

    def _fit(self, x: Packed, y: Tensor | None, run: Run) -> None:
        self._fit_book(len(x))
        some, cond = run.validation or (x, y)
        rows = torch.arange(min(len(some), WATCHED))
        few, given = some[rows], None if cond is None else cond[rows]
        averaged = self.ema if self.quantiser == "fsq" else 0.0  # a book follows the weights, not their average
        recipe = self._recipe(ema=averaged)
        watch = {"evaluate": self._error, "watch": lambda: self._used(few, given)}
        self.history_ = descend(self.net_, self._loss, x, y, recipe=recipe, run=run, **watch)
        self.net_.eval()
        self._take_stock(few, given)
        if self.prior is None:
            self._fit_raster(x, y, run)
        else:
            fresh: Any = clone(self.prior)  # pyright: ignore[reportArgumentType]
            told = y if isinstance(self.prior, Conditional) else None
            self.prior_: Any = fresh.fit(Items(self._pictured(x, y), self._pictures), told, run=run.part("prior"))

    def _recipe(self, **changes: Any) -> VQVAE:
        """What one of the two trainings goes by."""
        minutes = None if self.minutes is None else self.minutes / (2 if self.prior is None else 1)
        return replace(self, minutes=minutes, **changes)

    def _fit_book(self, n: int) -> None:
        """Make the book smaller than the vectors that n items give, at a fourth of them where nobody asked for a size."""
        h, w = self.net_.grids[0]
        asked, vectors = self.net_.codes, n * h * w
        fits = max(2, vectors if self.codes else vectors // 4)
        if self.quantiser == "ema" and self.net is None and asked > fits:
            if self.codes:
                warnings.warn(
                    f"codes={self.codes} is more than the {vectors} vectors that {n} items give: a book of {fits} is used.",
                    stacklevel=5,
                )
            self.codes_ = fits
            self._build()
        self.codes_ = self.codes_ if hasattr(self, "codes_") else self.codes or asked

    def _fit_raster(self, x: Packed, y: Tensor | None, run: Run) -> None:
        """The default prior, of the codes of the data."""
        part = run.part("prior")
        if run.validation is not None:
            part.validation = (self._pictured(*run.validation), run.validation[1])
        pictures = self._pictured(x, y)
        self.prior_history_ = descend(self.raster_, self._prior_loss, pictures, y, recipe=self._recipe(), run=part)
        self.raster_.eval()

    def _pictured(self, x: Packed, y: Tensor | None) -> Tensor:
        """The codes of items as the prior sees them, (n, *picture)."""
        found, space = [], self._pictures
        with torch.no_grad():
            for i in torch.arange(len(x)).split(self.chunk):
                found.append(self.net_.drawn(self._encode(x[i], None if y is None else y[i]), space))
        return torch.cat(found)

    def _loss(self, x: Tensor, y: Tensor | None) -> Tensor:
        net = self.net_
        with half(x.device, "auto" if self._image and self.precision == "auto" else "f32"):
            reading = net.read(x, y)
            raw = net.decoder(reading.z, y).float()
        return self.commitment * self.space_.size * reading.commitment - net.head.log_prob(raw, x)

    def _prior_loss(self, x: Tensor, y: Tensor | None) -> Tensor:
        with half(x.device, self.precision):
            return -self.raster_(x, y)

    def _error(self, x: Tensor, y: Tensor | None) -> Tensor:
        """−log p(x | c(x)), (n,), nats."""
        return -self._log_likelihood(x, self.net_.read(x, y).index, y)

    def _log_likelihood(self, x: Tensor, index: Tensor, y: Tensor | None) -> Tensor:
        return self.net_.head.log_prob(self.net_.decoder(self.net_.look(index), y).float(), x)

    def _uses(self, x: Tensor, y: Tensor | None) -> list[Use]:
        """How items use each book, the upper grid's first."""
        with torch.no_grad():
            found = self.net_.split(self.net_.read(self.net_.moved(x), self.net_.moved(y)).index)
        books = zip(self.net_.books, found, strict=True)
        return [use(cells, book.codes) for book, grid in books for cells in grid.chunk(book.levels, 1)]

    def _used(self, x: Tensor, y: Tensor | None) -> dict[str, float]:
        """The mean over the books of the share of codes in use, and of their perplexity."""
        uses = self._uses(x, y)
        self.usage_, self.perplexity_ = [u.share for u in uses], [u.perplexity for u in uses]
        return {"usage": sum(self.usage_) / len(uses), "perplexity": sum(self.perplexity_) / len(uses)}

    def _take_stock(self, x: Tensor, y: Tensor | None) -> None:
        """Count the codes in use at the end; warn where nearly none is."""
        entry = self._used(x, y)
        self.history_ = [*self.history_[:-1], {**(self.history_[-1] if self.history_ else {}), **entry}]
        if self.quantiser == "ema" and max(self.usage_) < COLLAPSED:
            warnings.warn(
                f"Codebook collapse: only {max(self.usage_):.1%} of the codes are in use; the items may be that much alike, "
                'or give quantiser="fsq" or fewer codes.',
                stacklevel=5,
            )

    # -- hooks --------------------------------------------------------------------------------------------

    def _log_prior(self, index: Tensor, y: Tensor | None, draws: int) -> Tensor:
        """log p(c), or a bound of it, (n,), nats."""
        pictures = self.net_.drawn(index, self._pictures)
        if self.prior is None:
            return self.raster_(pictures.to(self.raster_.inside.device), self.net_.moved(y)).cpu()
        told = None if y is None or not self.prior_.width_y else y.cpu()
        if isinstance(self.prior_, Density):
            return self.prior_._log_prob(pictures, told).cpu()
        return self.prior_._bound(pictures, told, draws).cpu()

    def _bound(self, x: Tensor, y: Tensor | None, draws: int) -> Tensor:
        """log p(x | c) + log p(c) at c = c(x); the draws are the prior's, where it has a bound only."""
        x, c = self.net_.moved(x), self.net_.moved(y)
        index = self.net_.read(x, c).index
        return self._log_likelihood(x, index, c).cpu() + self._log_prior(index, y, draws)

    def _sample(self, n: int, y: Tensor | None) -> Tensor:
        net = self.net_
        given = hasattr(self, "prior_")
        pictures = self.prior_._sample(n, y if self.prior_.width_y else None) if given else self.raster_.drawn(n, y)
        raw = net.decoder(net.look(net.moved(net.undrawn(pictures))), net.moved(y)).float()
        return net.head.sample(raw, self.temperature).cpu()

    def _encode(self, x: Tensor, y: Tensor | None) -> Tensor:
        return self.net_.read(self.net_.moved(x), self.net_.moved(y)).index

    def _decode(self, z: Tensor, y: Tensor | None) -> Tensor:
        net, cells = self.net_, len(self.net_.place)
        if z.dim() != 2 or z.shape[1] != cells:
            raise UsageError(f"A code of this model is {cells} indices: give an array (n, {cells}), not {tuple(z.shape)}.")
        if len(z) and (bool((z != z.round()).any()) or z.min() < 0 or z.max() >= net.codes):
            raise UsageError(f"Codes are whole numbers from 0 to {net.codes - 1}: give what encode gives.")
        return net.head.mode(net.decoder(net.look(net.moved(z.long())), net.moved(y)).float()).cpu()
