"""Routes of credits, purchases and subscriptions, and Stripe's webhook."""
