"""What runs in other people's processes: POSIX shell texts, kept here as package data.

Nothing in this package imports agentprov, and agentprov reads it only as data. The two meet in
files: the drop-box (docs/spec/dropbox.md) and the layout of ``<git common dir>/agentprov``.
"""
