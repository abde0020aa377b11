"""The effects in progress: queued, performed, limited, retried, stopped. Imports journal and values."""
