"""The agent's thread for the API server: the only part of the agent with an asyncio loop."""
