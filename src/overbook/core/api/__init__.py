"""Overbook's custom resources: the structs from which their schemas are rendered."""
