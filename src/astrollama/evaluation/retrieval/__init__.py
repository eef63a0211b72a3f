"""Queries, gold and rankings of retrieval, and the rankings by words."""
