"""The commands by subject: each parses its options, calls a service, records the change and prints the result."""
