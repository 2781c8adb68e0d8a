"""The container runtime's plugin protocol (NRI): messages, framing, and the plugin itself."""
