"""When a node is in trouble and which pod causes it: sample, model, rules, rank, decision."""
