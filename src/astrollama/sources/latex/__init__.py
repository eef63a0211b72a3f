"""arXiv source packages to text: archives read in memory, TeX expanded, prose and maths written out."""
