"""Sysctls, watermarks and units that a host with swap needs: rules, steps, and the replaced values."""
