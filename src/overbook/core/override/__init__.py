"""Requests changed at admission: which override applies, the new requests, the patch, the texts."""
