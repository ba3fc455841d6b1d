"""Training: loops that know no family, over one run that survives anything."""
