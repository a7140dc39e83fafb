"""One file for each agent: how its own configuration puts our relay around its stdio servers."""
