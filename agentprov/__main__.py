"""Lets hooks start us by interpreter: ``python -I -m agentprov``."""

from agentprov.cli import main

if __name__ == "__main__":
    main()
