"""A sweep that trains for seconds: pretraining on two workers, fine-tuning and distillation, and two baselines."""

JOBS = """preset: tiny
seeds: [0]
behavior: [velocity_x]
model: {width: 16, layers: 1, heads: 2, spikes_patch: 16, lfp_patch: 8, predictor_width: 12, predictor_heads: 2}
pretraining: {epochs: 3}
training: {epochs: 2}
engine: {checkpoint_every: 1}
sessions:
  held_out: {names: [S1_03]}
  pretraining: {except: held_out}
jobs:
  ms_spike: {pretrain: spikes, on: pretraining, workers: 2}
  teacher: {finetune: ms_spike, each: held_out}
  distilled: {distill: teacher, each: held_out}
methods: {Distilled LFP: distilled, MS-Spike: teacher}
compare: [Distilled LFP > MS-Spike]
controls: []
baselines: [ridge_on_lfp, ridge_on_spikes]
"""
SWEEP = (
    """# Question: does everything work together?
name: small
recordings:
  synthetic:
    subjects: 1
    sessions_per_subject: 3
    duration_s: 40
    min_units: 10
    max_units: 16
    min_channels: 6
    max_channels: 8
  ingest:
    bin_width_ms: 20
    filters: {lowpass_hz: 25}
    splits: {segment_s: 1, parent_s: 2}
"""
    + JOBS
)
