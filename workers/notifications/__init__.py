"""Sends users the outbox's messages, by mail and push."""
