"""How much a node promises: level, swap, allowances, and who writes them."""
