"""The values that the parts of the engine exchange: time, scopes, results, workflows. Imports no other part."""
