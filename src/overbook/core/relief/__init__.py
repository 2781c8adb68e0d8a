"""How one pod at a time leaves a node under pressure, within the cluster's budgets."""
