"""Blind pairwise ratings by people."""
