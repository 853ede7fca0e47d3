"""A scenario of one cell of the isolation matrix, as text."""

LOST = """
title: Lost update
database: promptsales
matrix: P4
levels: {postgresql: [read committed, repeatable read]}
setup:
  - CREATE TABLE t (id int PRIMARY KEY, v int)
  - INSERT INTO t VALUES (1, 10)
items: {v: SELECT v FROM t}
sessions:
  T1:
    setup: begin
    steps:
      read_1: {run: SELECT v FROM t, reads: v}
      write_1: {run: UPDATE t SET v = 11, writes: {v: 11}}
      commit_1: commit
  T2:
    setup: begin
    steps:
      read_2: {run: SELECT v FROM t, reads: v}
      write_2: {run: UPDATE t SET v = 12, writes: {v: 12}}
      commit_2: commit
schedule: [read_1, read_2, write_1, write_2, commit_1, commit_2]
expect:
  postgresql:
    read committed: {finds: lost update}
    repeatable read: {finds: nothing, errors: {write_2: "40001"}}
"""
