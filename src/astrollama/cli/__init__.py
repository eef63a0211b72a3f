"""The command line: one thin file a verb; nothing heavy is imported before a command runs."""
