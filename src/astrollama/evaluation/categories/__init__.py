"""Putting papers into arXiv categories: labels, classifiers, their metrics, and heads that are kept for use."""
