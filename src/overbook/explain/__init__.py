"""The report of ``overbook explain``: from manifests to what each pod gets on a node."""
