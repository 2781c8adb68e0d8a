"""One node: sample, model, ruleset, consequences."""
