"""Routes of health checks, the API's description, and the pages that mails link to."""
