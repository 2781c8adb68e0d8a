"""How one pod at a time is moved off nodes in trouble, within budgets."""
