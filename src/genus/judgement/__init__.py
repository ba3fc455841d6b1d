"""Judgement: scores that carry interval, unit, n, reference and what they may be compared with."""
