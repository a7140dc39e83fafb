"""Where signed bundles are kept."""
