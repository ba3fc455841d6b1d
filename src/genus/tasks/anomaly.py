"""Anomaly: how usual an item's likelihood is, beside how large it is."""

from __future__ import annotations

import numpy as np

CAVEAT = (
    "Foreign items can be likelier than the model's own (Nalisnick et al. 2019): read `typicality` beside it, small where a "
    "likelihood is unusual on either side."
)


def typicality(scores: np.ndarray, reference: np.ndarray) -> dict[str, np.ndarray]:
    """How far, and how rarely, scores (n,) lie from those of items known to be normal.

    Returns
    -------
    distance: |score − mean of the reference|, nats (n,); the larger, the stranger. typicality: 2 min(P(reference ≤ score),
    P(reference ≥ score)), the two-sided conformal p-value, at most 1 and never below 2 / (m + 1) for m reference items.

    Reference: E. Nalisnick et al. 2019, Detecting out-of-distribution inputs to deep generative models using typicality,
    https://arxiv.org/abs/1906.02994; V. Vovk, A. Gammerman and G. Shafer 2005, Algorithmic learning in a random world

    >>> found = typicality(np.array([0.0, 50.0]), np.arange(-49.0, 50.0))
    >>> found["typicality"].round(2).tolist(), found["distance"].tolist()
    ([1.0, 0.02], [0.0, 50.0])
    """
    reference = np.sort(np.asarray(reference, dtype=float))
    below = np.searchsorted(reference, scores, side="right")
    above = len(reference) - np.searchsorted(reference, scores, side="left")
    chance = 2 * (np.minimum(below, above) + 1) / (len(reference) + 1)
    return {"distance": np.abs(scores - reference.mean()), "typicality": np.minimum(chance, 1.0)}
