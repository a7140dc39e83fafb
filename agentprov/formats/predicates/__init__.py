"""One file per predicate type: its URI, its schema, and the typed view of it."""
