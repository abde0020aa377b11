"""The story of `test_story` once more, with something else around the service."""
