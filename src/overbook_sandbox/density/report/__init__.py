"""What the cells of a benchmark say: rows with medians and spread, Markdown, JSON, and a picture."""
