"""Bytes and values: what we write and read, with no clock, no disk and no environment."""
