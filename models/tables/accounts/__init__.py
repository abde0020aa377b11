"""Users, their credentials, and the audit log of their accounts."""
