"""Continuations of a text: their choice, their scores, and the facts they state."""
