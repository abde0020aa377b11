"""Checks of a deployment, from its settings to its last backup. Each says what is wrong and how to mend it."""
