"""How much a node is overcommitted: level, swap, allowances, and which program writes swap limits."""
