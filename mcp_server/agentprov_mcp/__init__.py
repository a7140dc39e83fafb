"""The door for agents: the record, over the Model Context Protocol."""
