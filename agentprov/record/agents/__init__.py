"""One file per coding agent; `registry.py` is the plain list of them."""
