"""The cluster's side of relief: takes the nodes' requests and moves one guest at a time, within budgets."""
