"""Compares what Stripe knows with what we know, and mends the difference the way webhooks would have."""
