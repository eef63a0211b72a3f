"""The evaluation's tasks, one module each; `astrollama.evaluation.task` says what a module has."""
