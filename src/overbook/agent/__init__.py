"""The agent of one node: it samples, decides by the ruleset, and acts."""
