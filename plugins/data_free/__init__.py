"""Quantization of a trained network without data: ZeroQ, ZAQ, Qimera, IntraQ."""
