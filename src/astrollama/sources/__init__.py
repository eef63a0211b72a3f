"""Where papers come from. Each source yields `Paper`s, and `Unreadable` for a record that it could not read."""
