"""Child processes that never outlive their parent, and their supervisor. Imports nothing else of devstack."""
