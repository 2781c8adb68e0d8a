"""When a node is under pressure, and which pod causes it: sample, model, rules, rank, decision."""
