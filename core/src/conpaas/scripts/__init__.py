"""Scripts of users, each run in a process of its own that outlives whoever began it."""
