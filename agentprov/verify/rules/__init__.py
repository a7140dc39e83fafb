"""The rules of our policies, one file each: what it may ask for, and when a commit lacks it.

Each module has `CHECK`, the shape of what stands in the document, and `read`, which makes the rule
of it. A rule sees one `JudgedCommit` and nothing else. Adding one: a file here, a row in
`policy.RULES`, its codes in the catalogue, docs/spec/policy.md and docs/spec/findings.md.
"""
