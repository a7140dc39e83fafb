"""Formats in which other tools say who wrote a line; read as hostile, written on request."""
