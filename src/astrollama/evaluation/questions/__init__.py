"""Multiple-choice questions, and their answers through lm-evaluation-harness."""
