"""A thin client of the Kubernetes API: requests, watches, leases, events."""
