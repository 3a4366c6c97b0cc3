"""Evaluation: rollouts, intervals and tests, replay, forks, reports."""
