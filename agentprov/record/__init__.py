"""Recording: what happened, as facts; knows nothing of signing, storing or judging."""
