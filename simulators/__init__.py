"""Simulators of Stripe, OpenClaw, AI providers and mail with the real protocols. Imports only `devstack.servers`."""
