"""Node types as documents."""
