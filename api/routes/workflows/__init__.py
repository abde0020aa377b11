"""Routes of workflows and templates."""
