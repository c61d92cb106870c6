"""Streams of data that somebody brings: folders, tables, arrays, data sets, benchmarks."""
