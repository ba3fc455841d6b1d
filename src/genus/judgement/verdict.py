"""The verdict: what was found about one model, in sentences, the worst first."""

from __future__ import annotations

from collections.abc import Iterable

from genus.judgement.finding import BAD, DOUBTFUL, GOOD, Finding
from genus.judgement.row import Row
from genus.judgement.score import Score
from genus.judgement.suspicion import leaks, suspicions

MANY = 0.5  # of the samples copied: then nothing else counts


def findings(row: Row, rows: Iterable[Row], missing: Iterable[str] = ()) -> list[Finding]:
    """Everything worth a sentence about `row`, against real data and the baselines among `rows`."""
    rows = list(rows)
    if row.failed:
        return [Finding(BAD, f"{row.name} failed: {row.failed}")]
    real = next((r for r in rows if r.role == "real"), None)
    baselines = [r for r in rows if r.role == "baseline" and r is not row and not r.failed and r.name != "resample"]
    found = [*_copying(row), *_told_apart(row, real), *_baselines(row, baselines), *_missing_parts(row, real),
             *_columns(row, real),
             *_utility(row, real), *_modes(row), *_likelihood(row), *suspicions(row, real)]  # fmt: skip
    found += [Finding(DOUBTFUL, f"{s.label}: {flag}.") for s in row.scores for flag in s.flags if "impossible" not in flag]
    found += [Finding(DOUBTFUL, text) for text in missing]
    return sorted(found, key=lambda f: (f.level, -f.weight))


def headline(row: Row, real: Row | None) -> str:
    """The answer to "are these samples good?" in one sentence, and a second one where they give people away."""
    copied = row.get("copies") is not None and _copied(row) > MANY
    return _likeness(row, real) + (" But its training items can be recognised." if leaks(row) and not copied else "")


def _likeness(row: Row, real: Row | None) -> str:
    """Whether samples can be told from real items, in one sentence."""
    auc = row.get("auc")
    if row.failed or auc is None:
        return f"{row.name} could not be judged."
    if row.get("copies") is not None and _copied(row) > MANY:
        return f"{row.name} copies its training items: its other scores say nothing about learning."
    told, against = _levels(auc, real)
    if told <= 0:
        beside = f"better than it tells real from real (AUC {auc.value:.3f}{against})" if against else f"(AUC {auc.value:.3f})"
        return f"No test tells {row.name}'s samples from real items {beside}."
    strength = (
        "almost always" if auc.value > 0.95 else "usually" if auc.value > 0.8 else "sometimes" if auc.value > 0.6 else "slightly"
    )
    return f"A classifier can {strength} tell {row.name}'s samples from real items (AUC {auc.value:.3f}{against})."


def _levels(auc: Score, real: Row | None) -> tuple[float, str]:
    """(how far the AUC lies above what real items give, 0 or less when chance explains it; words about the floor)."""
    floor = real.get("auc") if real is not None else None
    if floor is None:
        return auc.low - 0.5, ""
    told = auc.low - max(floor.value, 0.5) if auc.low <= floor.high else auc.value - floor.value
    return told, f"; real from real {floor.value:.3f} ± {(floor.high - floor.low) / 2:.2f}"


def _told_apart(row: Row, real: Row | None) -> list[Finding]:
    auc = row.get("auc")
    if auc is None:
        return []
    told, _ = _levels(auc, real)
    p = auc.detail.get("p", float("nan"))
    away = f" {given_away(auc)}" if told > 0 else ""
    text = (
        f"{_likeness(row, real) if _copied(row) <= MANY else f'Two-sample AUC {auc.value:.3f}.'}{away} (n = {auc.n}, p = {p:.2g})"
    )
    return [Finding(GOOD if told <= 0 else BAD if auc.value > 0.8 else DOUBTFUL, text, 10 + max(told, 0))]


def given_away(auc: Score) -> str:
    """What told the samples apart, in words; empty where no column did."""
    columns = [c for c in auc.detail.get("columns", []) if c["lost"] > 0.01 or c["alone"] > 0.55][:3]
    pairs = auc.detail.get("pairs", [])[:2]
    if not columns and not pairs:
        seen = [name for name, lost in auc.detail.get("gave it away", [])[:3] if lost > 0.01]
        return f"Given away most by {', '.join(seen)}." if seen else ""
    parts = []
    if columns:
        each = [f"{c['column']} ({c['says']})" if c["says"] and c["alone"] > 0.52 else c["column"] for c in columns]
        parts.append(f"Given away by {'; '.join(each)}.")
    if pairs:
        each = [f"{name} (trees that see the two alone {both:.2f}, either {one:.2f})" for name, both, one in pairs]
        parts.append(f"Together by {' and '.join(each)}.")
    return " ".join(parts)


def _copied(row: Row) -> float:
    """Excess share of copies over what held-out items show, 0 when chance explains it."""
    exact, near, z = row.get("copies"), row.get("near_copies"), row.get("copying_z")
    if exact is None or near is None or z is None:
        return 0.0
    base = exact.detail.get("held-out", 0.0)
    if exact.low > max(1.5 * base, base + 0.02):
        return exact.value - base
    return near.value if near.low > 0.05 and z.value < -4 else 0.0


def _copying(row: Row) -> list[Finding]:
    exact, ratio, z = row.get("copies"), row.get("closeness"), row.get("copying_z")
    if exact is None or ratio is None or z is None:
        return []
    base = exact.detail.get("held-out", 0.0)
    if excess := _copied(row):
        text = f"{row.name} repeats its training items: {exact.value:.1%} of the samples are exact copies ({base:.1%} of "
        text += (
            f"held-out items are), {row.value('near_copies'):.1%} lie nearer than 99 of 100 held-out items do, and the median "
        )
        text += f"distance from training items is {ratio.value:.2f} of a new item's (z = {z.value:.1f})."
        return [Finding(BAD if excess > MANY else DOUBTFUL, text, 20 + excess)]
    if z.value < -4:
        near = row.value("near_copies")
        text = f"Samples lie closer to the training items as a whole than new items do ({ratio.value:.2f} of the distance, "
        text += (
            f"z = {z.value:.1f}), but on no single one ({near:.1%} are near copies, 1 % is chance): they keep to the typical, "
        )
        text += "which is not copying."
        return [Finding(DOUBTFUL, text, 3)]
    return [
        Finding(
            GOOD,
            f"No sign of copying: samples lie at {ratio.value:.2f} times the distance from training items at which new ones lie.",
        )
    ]


def _baselines(row: Row, baselines: list[Row]) -> list[Finding]:
    auc = row.get("auc")
    if auc is None or row.role != "model":
        return []
    lost = [b for b in baselines if (other := b.get("auc")) and not auc.comparable(other) and other.value <= auc.value]
    if lost:
        names = " and ".join(b.title for b in lost)
        return [Finding(BAD, f"{row.name} does not beat the baseline {names} on the two-sample test.", 8)]
    if not baselines:
        return []
    names = ", ".join(f"{b.title} ({b.value('auc'):.3f})" for b in baselines)
    return [Finding(GOOD, f"Beats the baselines on the two-sample test: {names} against {auc.value:.3f}.")]


def _missing_parts(row: Row, real: Row | None) -> list[Finding]:
    found = []
    for metric, sentence in (
        ("recall", "Part of the data is never drawn: recall {0:.2f} where real items reach {1:.2f}."),
        ("precision", "Samples lie outside the data: precision {0:.2f} where real items reach {1:.2f}."),
        ("coverage", "Samples crowd together: coverage {0:.2f} where real items reach {1:.2f}."),
    ):
        mine, floor = row.get(metric), real.get(metric) if real is not None else None
        if mine is None or floor is None or mine.high >= floor.low or mine.value > 0.9 * floor.value:
            continue
        level = BAD if mine.value < 0.5 * floor.value else DOUBTFUL
        found.append(Finding(level, sentence.format(mine.value, floor.value), 5 + floor.value - mine.value))
    return found


def _columns(row: Row, real: Row | None) -> list[Finding]:
    found = []
    single, pair = row.get("marginals"), row.get("pairs")
    if single is not None:
        worst = sorted(single.detail.items(), key=lambda kv: kv[1])[:3]
        if worst and worst[0][1] < 0.9:
            names = ", ".join(f"{name} ({value:.2f})" for name, value in worst if value < 0.95)
            found.append(Finding(BAD if worst[0][1] < 0.7 else DOUBTFUL, f"Columns that disagree most: {names}.", 4))
    floor = real.get("pairs") if real is not None else None
    if pair is not None and floor is not None and pair.high < floor.low and pair.value < floor.value - 0.05:
        names = ", ".join(list(pair.detail)[:3])
        found.append(
            Finding(
                DOUBTFUL, f"Dependence between columns is off (pairs {pair.value:.3f}, real {floor.value:.3f}), worst {names}.", 4
            )
        )
    return found


def _utility(row: Row, real: Row | None) -> list[Finding]:
    mine, floor = row.get("utility"), real.get("utility") if real is not None else None
    if mine is None:
        return []
    text = f"Trained on samples, {mine.note} reaches {mine.value:.3f}"
    if floor is None:
        return [Finding(GOOD if mine.value > 0.6 else DOUBTFUL, f"{text}.", 1)]
    gap = floor.value - mine.value
    level = BAD if gap > 0.15 else DOUBTFUL if mine.high < floor.low or gap > 0.05 else GOOD
    return [Finding(level, f"{text}; trained on real rows, {floor.value:.3f}.", 3 + gap)]


def _modes(row: Row) -> list[Finding]:
    found = []
    modes, good, classes = row.get("modes"), row.get("good"), row.get("classes")
    if modes is not None and good is not None:
        total = int(modes.note.removeprefix("of ") or 0)
        level = GOOD if modes.value == total and good.value > 0.95 else BAD if modes.value < 0.8 * total else DOUBTFUL
        found.append(Finding(level, f"{modes.value:.0f} of {total} modes found, {good.value:.1%} of the samples on one.", 6))
    if classes is not None and classes.detail.get("found", 0) < classes.detail.get("of", 0):
        found.append(Finding(BAD, f"Only {classes.note}: some classes are never drawn.", 6))
    return found


def _likelihood(row: Row) -> list[Finding]:
    bad = [(s.kind, f) for s in row.scores if s.metric == "log_likelihood" for f in s.flags]
    return [Finding(BAD, f"{flag[0].upper()}{flag[1:]} ({kind} log-likelihood).", 7) for kind, flag in bad]
