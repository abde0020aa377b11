"""Accounts: registration, verification, sign-in, administration, export, deletion. Imports stripe and below."""
