"""Networks in which every task has layers, normalisations and a head of its own."""
