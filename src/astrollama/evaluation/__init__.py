"""Measuring: tasks that give metrics with intervals, and the report that shows them."""
