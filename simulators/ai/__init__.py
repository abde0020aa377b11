"""One server with the wire formats of OpenAI, Anthropic and Google."""
