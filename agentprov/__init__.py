"""agentprov: provenance for code that agents write."""

__version__ = "0.1.0"

__all__ = ["__version__"]
