"""Leases of executions, the journal of drivers, and redelivery of messages. Imports workflows and credits."""
