"""Tells users what happened: the outbox's messages in words, by mail and push."""
