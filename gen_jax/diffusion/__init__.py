"""Diffusion without networks: its schedules, predictions, samplers and bound."""
