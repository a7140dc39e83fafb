"""The gateway: a loopback relay between one session's agent and its model."""
