"""Suspicion: what a table's scores accuse a model, or its split, of: leaks, memory, broken rules, lost levels, contamination."""

from __future__ import annotations

from genus.judgement.finding import BAD, DOUBTFUL, GOOD, Finding
from genus.judgement.row import Row
from genus.judgement.sameness import contaminated

ATTACKS = ("distance_attack", "density_attack", "likelihood_attack", "singling_out", "inference", "exact_rows")
ON_MEMBERS = ATTACKS[:3]
HEAVY = 0.6  # AUC of a membership attack above which a release is a leak


def suspicions(row: Row, real: Row | None) -> list[Finding]:
    """Every finding about a table beyond its likeness."""
    return [*_split(real), *_privacy(row), *_memory(row), *_rules(row, real), *_repeats(row, real), *_rare(row, real)]


def _split(real: Row | None) -> list[Finding]:
    """A contaminated split spoils every comparison with held-out rows, so that it comes first."""
    score = real.get("overlap") if real is not None else None
    if score is None:
        return []
    expected, twice = score.detail["expected"], score.detail["repeated in test"]
    if not contaminated((score.value, score.low, score.high), expected):
        return []
    text = (
        f"The split is contaminated: {score.value:.1%} of the held-out rows occur in the training data, where {expected:.1%} "
        f"would by chance ({twice:.1%} of the held-out rows repeat one another). Every score against held-out rows flatters "
        "whoever copies: split again, without the repeated rows."
    )
    return [Finding(BAD, text, 1000)]


def _privacy(row: Row) -> list[Finding]:
    tried = [s for metric in ATTACKS if (s := row.get(metric)) and "caught" in s.detail]
    caught = [s for s in tried if s.detail["caught"] and s.detail["sound"]]
    found = []
    for s in caught:
        copy = s.detail["copy"][0]
        heavy = s.low > HEAVY if s.metric in ON_MEMBERS else s.low > 0.5 * copy
        text = f"Privacy, {s.label}: {s.written()}; a verbatim copy gives {copy:.3f}, "
        text += f"unrelated real rows {s.detail['control'][0]:.3f}."
        found.append(Finding(BAD if heavy else DOUBTFUL, text, 15 + s.value if heavy else 6))
    sound = [s for s in tried if s.detail["sound"]]
    if sound and not caught:
        text = f"None of {len(sound)} attacks on the training rows succeeds, and each catches a verbatim copy."
        found.append(Finding(GOOD, text, 1))
    return found


def leaks(row: Row) -> bool:
    """Whether an attack finds so much that it belongs into the first sentence."""
    return any(f.level == BAD for f in _privacy(row))


def _memory(row: Row) -> list[Finding]:
    gap = row.get("gap")
    if gap is None:
        return []
    text = f"Training items are {gap.written()} nats likelier than held-out ones ({gap.note})"
    if gap.low <= 0.05:
        return [Finding(GOOD, f"{text}: no memorising to be seen.", 1)]
    if gap.low <= 0.2:
        return [Finding(GOOD, f"{text}: little is known by heart.", 1)]
    return [Finding(DOUBTFUL, f"{text}: so much is known by heart.", 2 + gap.value)]


def _rules(row: Row, real: Row | None) -> list[Finding]:
    mine, floor = row.get("rules"), real.get("rules") if real is not None else None
    if mine is None:
        return []
    base = floor.value if floor is not None else 0.0
    beside = f"{mine.value:.2%} of the rows break a rule that the training rows keep ({mine.note}); real rows, {base:.2%}"
    if floor is not None and mine.low <= floor.high:
        return [Finding(GOOD, f"{beside}.", 1)]
    worst = "; ".join(f"{name} ({value:.2%})" for name, value in list(mine.detail.items())[:2])
    return [Finding(BAD if mine.value - base > 0.1 else DOUBTFUL, f"{beside}. Broken most: {worst}.", 7 + mine.value)]


def _repeats(row: Row, real: Row | None) -> list[Finding]:
    mine, floor = row.get("duplicates"), real.get("duplicates") if real is not None else None
    if mine is None or floor is None or mine.low <= floor.high + 0.005:
        return []
    return [Finding(DOUBTFUL, f"{mine.value:.1%} of the rows repeat another, of real ones {floor.value:.1%}.", 3 + mine.value)]


def _rare(row: Row, real: Row | None) -> list[Finding]:
    mine, floor = row.get("rare"), real.get("rare") if real is not None else None
    if mine is None or floor is None or mine.high >= floor.value:
        return []
    lost = ", ".join(mine.detail["never drawn"][:3])
    text = f"Rare levels are lost: {mine.value:.0%} are drawn, in real rows {floor.value:.0%}; never {lost}."
    return [Finding(DOUBTFUL, text, 4)]
