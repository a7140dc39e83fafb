"""The index over records, and what can be asked of it; a cache, rebuilt whenever in doubt."""
