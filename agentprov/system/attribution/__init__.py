"""Which files a tree of processes opened for writing: a seccomp notifier, Linux only, opt-in.

`tree.Attribution` is the recorder's side, `launcher` becomes the agent, `supervisor` is a
process of its own that hears of every write-intent call before the kernel performs it, and
`ledger` is what it leaves. This file stays empty of imports: launcher and supervisor start in
milliseconds. docs/adr/0008 has the reasons.
"""
