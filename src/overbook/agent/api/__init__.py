"""The agent's thread that speaks to the API server: the only part of the agent with an asyncio loop."""
