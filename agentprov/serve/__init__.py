"""Ways to look at the record: pages for a browser."""
