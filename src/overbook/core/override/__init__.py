"""Requests changed at admission: whose settings apply, the new requests, the patch, the texts."""
