"""Tables, pure rules, and the services that change rows."""
