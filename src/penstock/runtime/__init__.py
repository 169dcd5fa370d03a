"""Engines that run a trained model without gradients."""
