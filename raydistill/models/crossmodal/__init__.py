"""The family of the cross-modal distillation paper."""
