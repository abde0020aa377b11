"""JavaScript in texts, conditions and code: parses, checks, evaluates it. Imports `values` and `sandbox`."""
