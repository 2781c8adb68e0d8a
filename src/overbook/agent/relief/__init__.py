"""How a pod leaves a node in trouble: by a request to the controller, or killed here as the last resort."""
