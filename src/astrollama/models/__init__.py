"""Models: where they come from, how they are loaded, adapters on them, and the one loss."""
