"""Tasks: what people want of a fitted model, each a function over the contract's verbs."""
