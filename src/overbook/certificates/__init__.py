"""The webhook's own certificate: made, kept in a Secret, published to the API server and renewed."""
