"""Accepts every mail and push notification, and shows them on a page."""
