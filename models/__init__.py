"""What we know, and what is always true of it."""
