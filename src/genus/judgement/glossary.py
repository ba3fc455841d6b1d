"""Glossary: what each metric is called, its unit, which direction is good, and what it says in plain words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Direction = Literal["higher", "lower", "none"]


@dataclass(frozen=True)
class Meaning:
    """One metric in words: a short label for tables, and a caption."""

    label: str
    direction: Direction
    says: str
    unit: str = ""
    digits: int = 3


GLOSSARY: dict[str, Meaning] = {
    "auc": Meaning(
        "two-sample AUC", "lower",
        "How well the best of several classifiers tells samples from held-out real items: 0.5 is guessing, 1 is always. "
        "Five folds, equal numbers; each fold asks the classifier that was best on the other four, so that the value is not "
        "the luckiest of several. Values a little below 0.5 are chance, as the interval says.",
    ),
    "auc_train": Meaning(
        "two-sample AUC, train", "lower",
        "The trees between samples and training rows: below the figure against held-out rows, the samples keep closer to what "
        "was learnt than to what is true.",
    ),
    "accuracy": Meaning("two-sample accuracy", "lower", "The same classifier's share of right answers; 0.5 is guessing."),
    "mmd": Meaning(
        "MMD²", "lower",
        "Squared maximum mean discrepancy with Gaussian kernels of five widths, unbiased: near 0, also below it, when both come "
        "from one distribution. p is the share of random relabellings that look at least as different.", digits=4,
    ),
    "frechet": Meaning(
        "Fréchet distance", "lower",
        "Distance of two Gaussians fitted to features of samples and of real items. It grows when n is small, and means "
        "nothing outside its own feature space: it is not FID.",
    ),
    "precision": Meaning(
        "precision", "higher",
        "Share of samples that lie among the real items (inside some real item's 5-neighbour ball). Real "
            "items score below 1 too.",
    ),
    "recall": Meaning("recall", "higher", "Share of real items that lie among the samples: low when part "
        "of the data is never drawn."),
    "density": Meaning("density", "higher", "In how many real neighbourhoods a sample lies, over k: "
        "about 1 for real items.", digits=2),
    "coverage": Meaning("coverage", "higher", "Share of real items with a sample in their 5-neighbour "
        "ball: 0.969 is expected of real items."),
    "copies": Meaning(
        "exact copies", "lower", "Share of samples equal to a training item (rows of tables: equal in "
            "every cell up to the width of a number's bin). "
        "Beside it: the same share among held-out real items."
    ),
    "near_copies": Meaning(
        "near copies", "lower",
        "Share of samples nearer to a training item, against the spacing of training items there, than 99 of 100 held-out "
        "items are: 0.01 is expected.",
    ),
    "closeness": Meaning(
        "distance to train", "none",
        "Median distance from a sample to its nearest training item, over the same for held-out items: "
            "near 1 is right, near 0 is "
        "copying, well above 1 is underfitting.", digits=2,
    ),
    "copying_z": Meaning(
        "copying z", "none",
        "Mann–Whitney z of those distances: within ±2 is chance, far below 0 is copying, far above 0 is underfitting.", digits=1,
    ),
    "modes": Meaning("modes found", "higher", "Known modes that received at least one sample within "
        "three standard deviations.", digits=0),
    "good": Meaning("on a mode", "higher", "Share of samples within three standard deviations of a known mode."),
    "mode_kl": Meaning("mode KL", "lower", "KL divergence of the samples' shares of the modes from the real ones.", unit="nats"),
    "classes": Meaning(
        "class agreement", "higher",
        "1 − total variation between the labels a classifier reads from samples and from real items: low when classes are lost.",
    ),
    "marginals": Meaning(
        "columns agree", "higher",
        "Mean over columns of 1 − Kolmogorov–Smirnov distance (numbers) or 1 − total variation (categories). Columns drawn "
        "independently score near 1 here: read it with the pairs.",
    ),
    "pairs": Meaning("pairs agree", "higher", "Mean over pairs of columns of 1 − total variation of "
        "their ten-bin table: sees dependence."),
    "triples": Meaning("triples agree", "higher", "The same over triples of columns (a hundred at most). Sparse tables never "
        "reach 1: read it beside real rows."),
    "rules": Meaning("rules broken", "lower", "Share of rows that break a rule which holds in the training rows: dependencies, "
        "implications, orders, sums. Held-out rows may break some too."),
    "global_utility": Meaning(
        "every column predicted", "higher",
        "A decision tree learnt from samples predicts each column in turn on real held-out rows: the mean share of variance "
        "explained, 0 for guessing. The row of real data learns from real rows.",
    ),
    "gap": Meaning(
        "nats known by heart", "none",
        "Mean log-likelihood of training items less that of held-out ones: how much the model has memorised. 0 is none.",
        "nats", 2,
    ),
    "duplicates": Meaning("repeated rows", "none", "Share of rows equal to an earlier row of the same set; real rows have "
        "their share too."),
    "rare": Meaning("rare levels drawn", "higher", "Of the category levels that at most one in a hundred training rows hold (and "
        "five at least), the share drawn at least once."),
    "overlap": Meaning("held-out rows in train", "none", "Share of held-out rows that occur among the training rows. More than "
        "chance explains means a contaminated split."),
    "dcr": Meaning(
        "nearer to train (DCR)", "none",
        "Share of samples nearer to a training row than to a held-out one, the sets of equal size: 0.5 is right. A footnote: "
        "sets that pass it still lose to membership attacks (arXiv 2505.01524), since it averages over everyone.",
    ),
    "utility": Meaning(
        "train on samples", "higher",
        "A gradient-boosting model is trained on samples and tested on real held-out rows (area under ROC for classes, R² for "
        "numbers). The row of real data trains on real rows.",
    ),
    "lengths": Meaning("lengths agree", "higher", "1 − Kolmogorov–Smirnov distance between the lengths "
        "of sampled and real texts."),
    "ngrams": Meaning("3-grams agree", "higher", "1 − total variation between the shares of three-character strings."),
    "exact_answers": Meaning(
        "answered exactly", "higher",
        "Share of held-out conditions for which the one text drawn equals the one that stands there, letter by letter.",
    ),
    "chrf": Meaning(
        "answers' chrF", "higher",
        "Mean F-score of the strings of 1 to 6 characters that the text drawn for a held-out condition shares with the one that "
        "stands there (0 to 1). Beside it: the same against the texts of other items.",
    ),
    "distance_attack": Meaning(
        "membership by distance", "lower",
        "How well training items are told from held-out ones by their distance to the nearest sample (area under ROC): 0.5 is "
        "guessing. Beside it a verbatim copy, which must be caught, and unrelated real rows.",
    ),
    "density_attack": Meaning(
        "membership by density", "lower",
        "The same, by the density of samples around an item over that of other real items: 0.5 is guessing.",
    ),
    "likelihood_attack": Meaning(
        "membership by likelihood", "lower",
        "The same, with the model in hand: by its log-probability less that under independent columns. 0.5 is guessing.",
    ),
    "singling_out": Meaning(
        "singling out", "lower",
        "Risk that a combination of values seen in a sampled row fits exactly one training row, beyond how often it fits exactly "
        "one held-out row: 0 is right, 1 is a copy.",
    ),
    "inference": Meaning(
        "attribute inference", "lower",
        "Risk that a secret column of a training row is guessed from the nearest sample, beyond how often that succeeds for "
        "held-out rows: 0 is right.",
    ),
    "exact_rows": Meaning(
        "rows already in train", "none",
        "Share of sampled rows equal to a training row in the columns whose values repeat; held-out rows have their share too.",
    ),
    "log_likelihood": Meaning(
        "log-likelihood", "higher", "Mean log-probability of a held-out item under the model, in the data's own units.", "nats", 2
    ),
    "bits_per_dim": Meaning("bits/dim", "lower", "Negative log₂-likelihood over the numbers in one item.", "bits/dim"),
    "bits_per_byte": Meaning(
        "bits/byte", "lower",
        "Negative log₂-likelihood over the UTF-8 bytes of the texts, one more for the end of each item of a list: it compares "
        "whatever the tokens are.",
        "bits/byte",
    ),
}  # fmt: skip
