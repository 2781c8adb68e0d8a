"""The cluster's side of relief: evict or live-migrate one pod at a time per request, within budgets."""
