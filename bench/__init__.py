"""Measures the worker from outside, beside FFmpeg, on the same machine and in the same run."""
