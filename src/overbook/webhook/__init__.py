"""The admission webhook: requests overridden when a pod is created, over TLS."""
