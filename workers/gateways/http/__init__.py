"""Outbound HTTP to public addresses: checked, pinned, limited in time and size. Imports `workers.gateways.base`."""
