"""The ledger, and the usage that counts against the quotas of a tier."""
