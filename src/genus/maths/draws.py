"""Draws of chains: their summary, the verdict on them, plots, a file, and an export."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import numpy as np
import pandas as pd
import torch
from sklearn.utils.validation import check_is_fitted

from genus import store
from genus.errors import RunError, UsageError
from genus.maths import diagnostics

ENOUGH = 400  # effective draws, in the bulk and in the tails
FORMAT, FILE, TENSORS = 1, "posterior.json", "posterior.safetensors"


class Draws:
    """What can be said of and done with `draws_` (draws, chains, d) of the numbers `names_`.

    Attributes
    ----------
    kernel_: what drew them. divergences_: how many orbits diverged. energy_: (steps, chains) of the orbits.
    """

    learnt: ClassVar[tuple[str, ...]] = (
        "draws_", "names_", "kernel_", "thin_", "divergences_", "accept_", "energy_", "depths_", "tuned_", "log_evidence_",
    )  # fmt: skip

    draws_: np.ndarray
    names_: list[str]
    kernel_: str
    divergences_: int
    energy_: np.ndarray

    def summary(self) -> pd.DataFrame:
        """One row a number: mean and sd with their Monte-Carlo errors, quantiles, effective draws, R-hat."""
        check_is_fitted(self, "draws_")
        if not hasattr(self, "summary_"):
            draws = torch.from_numpy(self.draws_)
            flat = self.draws_.reshape(-1, draws.shape[2])
            low, middle, high = np.quantile(flat, [0.05, 0.5, 0.95], axis=0)
            columns = {"mean": flat.mean(0), "sd": flat.std(0, ddof=1), "q5": low, "median": middle, "q95": high}
            measures = ("mcse_mean", "mcse_sd", "ess_bulk", "ess_tail", "r_hat")
            columns |= {name: getattr(diagnostics, name)(draws).numpy() for name in measures}
            self.summary_ = pd.DataFrame(columns, index=pd.Index(self.names_))
        return self.summary_

    @property
    def reasons_(self) -> list[str]:
        """Why the draws are not to be believed, a sentence each; empty where nothing speaks against them."""
        table, found = self.summary(), []
        hats = table["r_hat"].fillna(np.inf).to_numpy()
        worst = int(hats.argmax())
        if hats[worst] >= 1.01:
            found.append(f"R-hat of {self.names_[worst]} is {hats[worst]:.3f}, not below 1.01: raise warmup and draws.")
        for column, word in (("ess_bulk", "bulk"), ("ess_tail", "tails")):
            counts = table[column].fillna(0).to_numpy()
            few = int(counts.argmin())
            if counts[few] < ENOUGH:
                found.append(f"{self.names_[few]} has {counts[few]:.0f} effective draws in the {word}, under {ENOUGH}.")
        if self.divergences_:
            found.append(f"{self.divergences_} orbits diverged, where the density bends sharply: raise accept, or reparametrise.")
        stuck = int((np.ptp(self.draws_, axis=0) == 0).all(1).sum())
        if stuck:
            found.append(f"{stuck} of {self.draws_.shape[1]} chains never moved: give a better start, or raise warmup.")
        if self.kernel_ in ("hmc", "nuts") and float(np.median(diagnostics.bfmi(torch.from_numpy(self.energy_)).numpy())) < 0.3:
            found.append("Energies change slowly (BFMI under 0.3): the tails are hardly visited; reparametrise.")
        return found

    @property
    def converged_(self) -> bool:
        """Whether nothing speaks against the draws: R-hat below 1.01, enough effective draws, no divergence."""
        return not self.reasons_

    def plot(self, path: str | Path | None = None, *, most: int = 6, kind: Literal["svg", "png"] = "svg") -> bytes:
        """Traces and rank histograms of the first `most` numbers as SVG or PNG bytes, also written to `path`.

        Chains are drawn in eight bundles: ranks of a bundle spread evenly where chains agree.
        """
        from matplotlib.figure import Figure

        draws = self.draws_[:, :, :most]
        figure = Figure(figsize=(9, 1.6 * draws.shape[2]), layout="constrained")
        for i, (left, right) in enumerate(figure.subplots(draws.shape[2], 2, squeeze=False)):
            values = draws[:, :, i]
            left.plot(values[:, :: max(1, values.shape[1] // 8)][:, :8], linewidth=0.6)
            left.set_ylabel(self.names_[i])
            ranks = values.ravel().argsort().argsort().reshape(values.shape)
            bundles = [part.ravel() for part in np.array_split(ranks, min(8, values.shape[1]), axis=1)]
            right.hist(bundles, bins=20, histtype="step", density=True)
            right.set_yticks([])
        out = io.BytesIO()
        kind = "png" if path is not None and str(path).endswith(".png") else kind
        figure.savefig(out, format=kind)
        if path is not None:
            Path(path).write_bytes(out.getvalue())
        return out.getvalue()

    def save(self, path: str | Path) -> None:
        """Write `posterior.json` and `posterior.safetensors` into the folder `path`: draws, settings, the verdict.

        A function cannot be kept in a file: what is loaded draws no more, but is summarised, sampled from and plotted.
        """
        check_is_fitted(self, "draws_")
        folder, tensors = Path(path), {}
        fields = {k: v for k, v in self.get_params(deep=False).items() if not _called(v)}  # pyright: ignore[reportAttributeAccessIssue]
        body: dict[str, Any] = {"genus_posterior": FORMAT, "fields": store.freeze(fields, tensors, "fields")}
        body["learnt"] = {k: store.freeze(getattr(self, k), tensors, k) for k in self.learnt if hasattr(self, k)}
        body |= {"converged": self.converged_, "reasons": self.reasons_}
        content = store.pack_tensors(tensors)
        body["sha256"] = store.digest(content)
        store.write(folder / TENSORS, content)
        store.write(folder / FILE, store.to_json(body))

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """What `save` wrote into the folder `path`."""
        folder = Path(path)
        if not (folder / FILE).is_file():
            raise RunError(f"{folder} holds no draws (no {FILE}): give the folder that `save` or `genus posterior -o` wrote.")
        body = store.from_json(store.read(folder / FILE), str(folder / FILE))
        if not isinstance(body, dict) or body.get("genus_posterior") != FORMAT:
            raise RunError(f"{folder / FILE} is not a posterior of this genus (format {FORMAT}).")
        content = store.read(folder / TENSORS)
        if store.digest(content) != body["sha256"]:
            raise RunError(f"{folder / TENSORS} has changed since it was written (its hash differs): draw again.")
        tensors = store.unpack_tensors(content, str(folder / TENSORS))
        found = cls(**store.thaw(body["fields"], tensors, "fields"))
        for name, value in body["learnt"].items():
            setattr(found, name, store.thaw(value, tensors, name))
        return found

    def to_arviz(self) -> Any:
        """The draws as ArviZ has them: a DataTree (1.0 and later) or InferenceData, one variable a number, chains first.

        Raises UsageError where ArviZ is not installed: `pip install "genus[arviz]"`.
        """
        check_is_fitted(self, "draws_")
        try:
            import arviz  # pyright: ignore[reportMissingImports]
        except ImportError:
            raise UsageError('ArviZ is not installed: `pip install "genus[arviz]"`.') from None
        posterior = {name: np.ascontiguousarray(self.draws_[:, :, i].T) for i, name in enumerate(self.names_)}
        if int(arviz.__version__.partition(".")[0]) >= 1:
            return arviz.from_dict({"posterior": posterior})
        return arviz.from_dict(posterior=posterior)


def _called(value: Any) -> bool:
    """Whether a field is a function, or a list of functions."""
    return callable(value) or (isinstance(value, list | tuple) and any(callable(each) for each in value))
