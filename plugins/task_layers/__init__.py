"""Networks in which every task has layers, normalizations and a head of its own."""
