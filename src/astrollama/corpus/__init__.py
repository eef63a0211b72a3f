"""Documents in, documents out: repair, filters, duplicates, the split, and what the corpus looks like."""
