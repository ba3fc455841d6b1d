"""Relational: several tables linked by keys, and sequences, drawn with every key in place."""

from genus.relational.tables import Tables as Tables

__all__ = ["Tables"]
