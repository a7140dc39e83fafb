"""The only rooms with windows: clock, git, files, processes, places."""
