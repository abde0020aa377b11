"""Routes of accounts and their credentials."""
