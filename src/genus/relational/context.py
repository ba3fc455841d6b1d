"""Context: Features as the condition y of a family, with only the values training has seen."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from genus.relational.encoder import Features


@dataclass
class Context:
    """Features ⇄ a frame to condition on: scores as numbers, codes as labels; what never varies is left out.

    Attributes
    ----------
    scores_: names of the scores in use. codes_: {name: (levels,) the code each is read as}: a code unseen in training is
    read as the most frequent one, so that no draw can lead where the family knows nothing.
    """

    scores_: list[str] = field(default_factory=list)
    codes_: dict[str, np.ndarray] = field(default_factory=dict)

    def fit(self, features: Features) -> Context:
        """Learn which features vary."""
        for name, score in features.scores.items():
            distinct = np.unique(score)
            if len(distinct) > 2 and not (np.rint(distinct) == distinct).all():
                self.scores_.append(name)
        for name, codes in features.codes.items():
            counts = np.bincount(codes + 1, minlength=features.levels[name] + 1)
            if (counts > 0).sum() > 1:
                self.codes_[name] = np.where(counts > 0, np.arange(len(counts)), int(counts.argmax())) - 1
        return self

    def frame(self, features: Features) -> pd.DataFrame | None:
        """The condition of each row; None where there is nothing to condition on."""
        columns: dict[str, Any] = {name: features.scores[name] for name in self.scores_}
        for name, read in self.codes_.items():
            words = [str(code) for code in range(-1, len(read) - 1)]
            columns[f"{name}="] = pd.Categorical.from_codes(read[features.codes[name] + 1] + 1, categories=words)
        return pd.DataFrame(columns) if columns else None
