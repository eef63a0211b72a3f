"""Vectors of texts, kept and searched."""
