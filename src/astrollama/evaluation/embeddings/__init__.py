"""The geometry of embeddings: cosines, spread, corrections, nearest pairs."""
