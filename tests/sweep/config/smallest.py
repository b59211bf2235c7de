"""A small valid sweep file, for tests that change one line of it or refer to it."""

SWEEP = """name: s
store: runs/store
preset: tiny
sessions: {held_out: {names: [a]}, pretraining: {except: held_out}}
jobs:
  ms: {pretrain: spikes, on: pretraining}
  ft: {finetune: ms, each: held_out}
methods: {MS-Spike: ft}
"""
